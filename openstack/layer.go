package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// StoredLayer is a layer that an image's archive leaves out. A hidden image of the same project has its bytes, and the digest as
// its name.
type StoredLayer struct {
	Digest    string // sha256:… of the stored bytes
	DiffID    string // sha256:… of the uncompressed layer
	MediaType string
	Size      int64  // of the stored bytes
	Unpacked  int64  // size of its files, in bytes
	Image     string // id of that image; in an archive it is a hint
}

// The properties of an image that is a layer, beside propertySize.
const (
	propertyLayer       = "docker_layer" // its digest
	propertyLayerDiffID = "docker_layer_diff_id"
	propertyLayerType   = "docker_layer_type"
)

// The properties of an image whose bytes leave layers out.
const (
	propertyStored = "docker_stored_size"        // of all its layers, in bytes
	propertyTrait  = "trait:CUSTOM_NDOCK_LAYERS" // of the nodes that can boot it
	traitRequired  = "required"
)

// layersPerQuery is how many layers are looked for at once. Glance takes URLs of 8 KiB.
const layersPerQuery = 40

// mostSameNames is how many images have the names of so many layers at most. Anybody in the project may give his that name.
const mostSameNames = 1000

// Layers returns those of the layers that the project has in Glance, by their digests. Of two with one digest, it is the
// older.
func (c *Cloud) Layers(ctx context.Context, digests []string) (map[string]StoredLayer, error) {
	all, err := c.wholeLayers(ctx, digests)
	if err != nil {
		return nil, err
	}
	found := map[string]StoredLayer{}
	for _, image := range all {
		if _, has := found[image.Name]; !has {
			found[image.Name] = image.layer()
		}
	}
	return found, nil
}

// wholeLayers returns the project's images that are these layers, the oldest first of those with one digest.
func (c *Cloud) wholeLayers(ctx context.Context, digests []string) ([]Image, error) {
	const op = "look for layers in Glance"
	project, err := c.ownProject(op)
	if err != nil {
		return nil, err
	}
	var found []Image
	for some := range slices.Chunk(digests, layersPerQuery) {
		var names []string
		for _, digest := range some {
			names = append(names, quoteIn(digest))
		}
		all, err := c.listUpTo(ctx, mostSameNames, op, imageFilter{
			"name": "in:" + strings.Join(names, ","), "os_hidden": "true", "owner": project, "status": "active", "sort": "created_at:asc", "limit": "1000",
		})
		if errors.Is(err, ErrTooMany) {
			return nil, &Error{Op: op, Err: fmt.Errorf("%w: more than %d have the names of %d layers: delete those that no image needs ('ndock image gc' does), "+
				"and those that are called so and are no layers", ErrTooMany, mostSameNames, len(some))}
		}
		if err != nil {
			return nil, err
		}
		for _, image := range all {
			if image.Owner == project && image.isWhole() {
				found = append(found, image)
			}
		}
	}
	return found, nil
}

// layer returns what the properties of an image say of the layer that it is.
func (i Image) layer() StoredLayer {
	return StoredLayer{
		Digest: i.Name, DiffID: i.diffID, MediaType: i.mediaType, Size: i.Size, Unpacked: i.UnpackedSize, Image: i.ID,
	}
}

// LayerUpload is a layer on its way into Glance.
type LayerUpload struct {
	Of      string // the image, for errors
	Content io.Reader
	// Found says what the layer is, once its bytes have been read to their end. It has no Image yet, and may have no Size.
	Found func() (StoredLayer, error)
	// Progress is told of all bytes sent.
	Progress io.Writer
}

// SendLayer stores a layer as an image of its own, which gets its name when it is whole. When it fails half-way or is
// interrupted, Glance keeps nothing of it, unless it may have its name already: then another push may have found it, and
// CollectLayers removes it if nobody needs it.
func (c *Cloud) SendLayer(ctx context.Context, o LayerUpload) (StoredLayer, error) {
	hidden, private, name := true, images.ImageVisibilityPrivate, "upload "+uuid.NewString()
	var found StoredLayer
	sent, err := c.store(ctx, upload{
		what: "layer of " + o.Of, open: ready(o.Content), progress: o.Progress, shared: true,
		request: images.CreateOpts{
			Name: name, Hidden: &hidden, Visibility: &private, ContainerFormat: "docker", DiskFormat: "raw", Properties: map[string]string{propertyLayer: beforeUpload},
		},
		complete: func(context.Context) (images.UpdateOpts, error) {
			var err error
			found, err = o.Found()
			return found.changes(), err
		},
	})
	found.Image, found.Size = sent.ID, cmp.Or(found.Size, sent.Size)
	return found, err
}

// changes give a layer its name.
func (s StoredLayer) changes() images.UpdateOpts {
	changes := images.UpdateOpts{images.ReplaceImageName{NewName: s.Digest}, images.UpdateImageProperty{Op: images.ReplaceOp, Name: propertyLayer, Value: s.Digest}}
	for _, property := range [][2]string{{propertyLayerDiffID, s.DiffID}, {propertyLayerType, s.MediaType}, {propertySize, strconv.FormatInt(s.Unpacked, 10)}} {
		changes = append(changes, images.UpdateImageProperty{Op: images.AddOp, Name: property[0], Value: property[1]})
	}
	return changes
}

// propertiesOfLayers are those of an image that has these layers, some of which are left out of its bytes.
func propertiesOfLayers(layers []StoredLayer) map[string]string {
	if len(layers) == 0 {
		return nil
	}
	var size int64
	for _, layer := range layers {
		size += layer.Size
	}
	return map[string]string{propertyStored: strconv.FormatInt(size, 10), propertyTrait: traitRequired}
}

// stillThere looks once more for the layers that an image leaves out, when its bytes can be read. Whoever removes layers
// renames them first, and then reads what images need: so one of the two sees the other.
func (c *Cloud) stillThere(ctx context.Context, of string, layers []StoredLayer) error {
	var names []string
	for _, layer := range layers {
		if layer.Image != "" && !slices.Contains(names, layer.Digest) {
			names = append(names, layer.Digest)
		}
	}
	found, err := c.Layers(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if found[name].Image == "" {
			return &Error{Op: fmt.Sprintf("push image %q", of), Err: fmt.Errorf("%w: %s", ErrLayersGone, name)}
		}
	}
	return nil
}

// OpenLayer returns the bytes of a layer of an image, as OpenImage does.
func (c *Cloud) OpenLayer(ctx context.Context, of Image, layer StoredLayer, retries int) (io.ReadCloser, error) {
	found, err := c.layer(ctx, of, layer)
	if err != nil {
		return nil, err
	}
	return c.OpenImage(ctx, found.ID, retries)
}

// layer finds it among the images of the owner: anybody may give an image of his own any name. One that is condemned is found,
// too, but last.
func (c *Cloud) layer(ctx context.Context, of Image, layer StoredLayer) (Image, error) {
	op := fmt.Sprintf("layer %s of image %q", layer.Digest, of.Name)
	names := "in:" + quoteIn(layer.Digest) + "," + quoteIn(condemnedPrefix+layer.Digest)
	found, err := c.listImages(ctx, op, imageFilter{"name": names, "os_hidden": "true", "owner": of.Owner, "status": "active", "sort": "name:desc"})
	if err != nil {
		return Image{}, err
	}
	found = slices.DeleteFunc(found, func(image Image) bool { return image.Owner != of.Owner })
	for _, image := range found { // of several, it is the one that the archive names
		if image.ID == layer.Image {
			return image, nil
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	if hinted, err := c.hinted(ctx, op, layer.Image); err != nil || hinted.Owner == of.Owner && hinted.Status == "active" {
		return hinted, err
	}
	if of.Owner != c.project() {
		return Image{}, &unreadable{&Error{Op: op, Err: errors.New("it is private to project " + of.Owner), hint: "servers boot from the image all the same; a user of that project copies it"}}
	}
	return Image{}, &unreadable{&Error{Op: op, Err: errors.New("it is not in Glance any more"), hint: "delete the image, and push it again"}}
}

// hinted returns the image with this id, which is empty where there is none that the user may see.
func (c *Cloud) hinted(ctx context.Context, op, id string) (Image, error) {
	if uuid.Validate(id) != nil { // an archive may say anything
		return Image{}, nil
	}
	client, err := c.glance()
	if err != nil {
		return Image{}, err
	}
	found, err := images.Get(ctx, client, id).Extract()
	if isMissing(err) {
		return Image{}, nil
	}
	if err != nil {
		return Image{}, explain(op, err)
	}
	return imageFrom(*found), nil
}
