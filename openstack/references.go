package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// ListedLayer is a layer that an image's archive lists.
type ListedLayer struct {
	Digest string
	Number int    // in the image; 1 is the lowest
	Size   int64  // as stored, in bytes
	Image  string // a hint at the image that has it, where the archive leaves it out
}

// ListReader reads which layers archives list.
type ListReader struct {
	Read    func(archive io.Reader) ([]ListedLayer, error)
	Retries int
	Tell    func(read, all int) // is told how many archives were read; may be nil
}

// The names of images that are layers, beside their digests.
const condemnedPrefix = "condemned "

var (
	layerName  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	uploadName = regexp.MustCompile(`^upload [0-9a-f-]{36}$`)
)

// beforeUpload is what propertyLayer has until the layer is whole.
const beforeUpload = "upload"

// LayerName returns what an image that is a layer is called when it is not condemned: its digest, or that of its upload.
func (i Image) LayerName() string { return strings.TrimPrefix(i.Name, condemnedPrefix) }

func (i Image) isCondemned() bool { return strings.HasPrefix(i.Name, condemnedPrefix) }

// isUpload reports whether an image is a layer that was not sent to its end, as far as is known.
func (i Image) isUpload() bool {
	if i.isCondemned() {
		return uploadName.MatchString(i.LayerName()) && i.diffID == abandoned
	}
	return uploadName.MatchString(i.Name) && i.layerDigest == beforeUpload
}

// isLayer reports whether an image is no image for users, but a layer: its name and its properties say so.
func (i Image) isLayer() bool {
	return i.isUpload() || layerName.MatchString(i.LayerName()) && i.layerDigest == i.LayerName()
}

// isWhole reports whether pushes find the layer, and boots.
func (i Image) isWhole() bool {
	return i.isLayer() && layerName.MatchString(i.Name) && i.Hidden && i.Status == "active"
}

// projectImages are the Docker images of a project.
type projectImages struct {
	layers   []Image // as they were before archives were listed
	archives []Image
}

// projectImages lists hidden images before the others, and after them: an image that is shown meanwhile, or hidden, is in one of
// the lists. Glance has no list of both. Layers are those of the first list, before any archive was listed or read.
func (c *Cloud) projectImages(ctx context.Context) (projectImages, error) {
	var found projectImages
	archives := map[string]Image{}
	for n, hidden := range []string{"true", "false", "true"} {
		all, err := c.ownImages(ctx, hidden)
		if err != nil {
			return found, err
		}
		for _, image := range all {
			if !image.isLayer() {
				archives[image.ID] = image
			} else if n == 0 {
				found.layers = append(found.layers, image)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(archives)) {
		found.archives = append(found.archives, archives[id])
	}
	return found, nil
}

// ImageCount returns how many Docker images the project has in Glance, and how many layers of images.
func (c *Cloud) ImageCount(ctx context.Context) (images, layers int, err error) {
	found, err := c.projectImages(ctx)
	return len(found.archives), len(found.layers), err
}

// ownImages lists the project's Docker images, oldest first, so that none is missed that is made or renamed meanwhile.
func (c *Cloud) ownImages(ctx context.Context, hidden string) ([]Image, error) {
	const op = "list the project's images"
	project, err := c.ownProject(op)
	if err != nil {
		return nil, err
	}
	filter := imageFilter{"container_format": "docker", "owner": project, "os_hidden": hidden, "sort": "created_at:asc"}
	leave, err := c.listTurn(ctx, op)
	if err != nil {
		return nil, err
	}
	defer leave()
	all, err := c.listSteadily(ctx, math.MaxInt, op, filter)
	return slices.DeleteFunc(all, func(image Image) bool { return image.Owner != project }), err
}

// listSteadily lists again where images are deleted meanwhile. The caller has a turn.
func (c *Cloud) listSteadily(ctx context.Context, most int, op string, filter imageFilter) ([]Image, error) {
	all, err := c.listInTurn(ctx, most, op, filter)
	for again := 0; again < 2 && gophercloud.ResponseCodeIs(err, http.StatusBadRequest); again++ {
		all, err = c.listInTurn(ctx, most, op, filter) // the last image of a page was deleted, behind which the next begins
	}
	return all, err
}

// ownProject returns the token's project. Without one, a list would be of all that one may see.
func (c *Cloud) ownProject(op string) (string, error) {
	if project := c.project(); project != "" {
		return project, nil
	}
	return "", &Error{Op: op, Err: errors.New("the token is for no project"), hint: "log in to a project"}
}

// eachList tells see which layers each of the images lists. All of them are read, or it fails. An image that has no bytes yet is
// left out, and one that is gone. Anybody who may push decides how long the lists are, and how many: see keeps no more of them than
// it needs.
func (c *Cloud) eachList(ctx context.Context, all []Image, reader ListReader, see func(Image, []ListedLayer) error) error {
	all = slices.DeleteFunc(slices.Clone(all), func(image Image) bool { return !image.hasBytes() })
	for n, image := range all {
		if reader.Tell != nil {
			reader.Tell(n, len(all))
		}
		layers, err := c.readList(ctx, image, reader)
		if err != nil {
			return err
		}
		if err := see(image, layers); err != nil {
			return err
		}
	}
	return nil
}

// hasBytes is false of an image whose push is under way: the push looks for its layers when all bytes are there. A status
// that is not known here may hide a list.
func (i Image) hasBytes() bool {
	return !slices.Contains([]string{"queued", "saving", "uploading", "importing", "killed", "deleted", "pending_delete"}, i.Status)
}

func (c *Cloud) readList(ctx context.Context, image Image, reader ListReader) ([]ListedLayer, error) {
	archive, err := c.OpenImage(ctx, image.ID, reader.Retries)
	if err == nil {
		defer archive.Close()
		var layers []ListedLayer
		if layers, err = reader.Read(archive); err == nil {
			return layers, nil
		}
	}
	if gone, failed := c.isGone(ctx, image.ID); gone || failed != nil {
		return nil, failed
	}
	return nil, image.unreadable(err)
}

// isGone asks for the image itself: Glance answers 404, too, where its storage has lost the bytes, or is not mounted.
func (c *Cloud) isGone(ctx context.Context, id string) (bool, error) {
	client, err := c.glance()
	if err != nil {
		return false, err
	}
	_, err = images.Get(ctx, client, id).Extract()
	switch {
	case err == nil:
		return false, nil
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return true, nil
	}
	return false, explain(fmt.Sprintf("look at image %q", id), err)
}

// ErrUnreadable is the error about an image whose bytes do not say which layers it needs, whoever asks for them.
var ErrUnreadable = errors.New("its bytes do not say")

func (i Image) unreadable(cause error) error {
	var away *Error
	if !errors.As(cause, &away) || errors.Is(cause, ErrDamaged) {
		cause = fmt.Errorf("%w: %w", ErrUnreadable, cause)
	}
	failed := &Error{
		Op:  fmt.Sprintf("read which layers image %q (%s) needs", i.Name, i.ID),
		Err: cause, hint: "nothing was removed, because any layer may be one of its; delete the image if nobody needs it",
	}
	if i.Status == "deactivated" {
		failed.hint = "it is deactivated: an administrator can read it, or 'openstack image set --activate " + i.ID + "'"
	}
	return failed
}

// LackingLayer is a layer that an image needs, and that is not in Glance.
type LackingLayer struct {
	Image
	Layer ListedLayer
}

// mostLacking is how many layers are told to be lacking: an image is bad with one.
const mostLacking = 10_000

// CheckLayers returns the layers that images of the project lack.
func (c *Cloud) CheckLayers(ctx context.Context, reader ListReader) ([]LackingLayer, error) {
	found, err := c.projectImages(ctx)
	if err != nil {
		return nil, err
	}
	before := thereLayers{}
	before.add(found.layers)
	before.add(found.archives)
	var lacking []LackingLayer
	err = c.eachList(ctx, found.archives, reader, func(image Image, layers []ListedLayer) error {
		lacking = append(lacking, before.lack(image, layers)...)
		if len(lacking) > mostLacking {
			return &Error{Op: "check which layers images lack", Err: fmt.Errorf("they lack more than %d; image %q (%s) is one of them", mostLacking, image.Name, image.ID)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	after, err := c.layersThere(ctx) // a push between the two would look broken
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lacking, func(one LackingLayer) bool { return after.has(one.Layer) }), nil
}

// thereLayers are the digests and ids of what a boot finds.
type thereLayers map[string]bool

func (t thereLayers) has(layer ListedLayer) bool { return t[layer.Digest] || t[layer.Image] }

func (t thereLayers) add(all []Image) {
	for _, image := range all {
		if image.Status == "active" {
			t[image.ID] = true
			t[image.LayerName()] = t[image.LayerName()] || image.Hidden
		}
	}
}

// lack returns the layers that an image leaves out, and that are not there.
func (t thereLayers) lack(image Image, layers []ListedLayer) []LackingLayer {
	var lacking []LackingLayer
	for _, layer := range layers {
		if layer.Image != "" && !t.has(layer) {
			lacking = append(lacking, LackingLayer{image, layer})
		}
	}
	return lacking
}

// layersThere returns what a boot finds: hidden images by their digests, and all by their ids.
func (c *Cloud) layersThere(ctx context.Context) (thereLayers, error) {
	there := thereLayers{}
	for _, hidden := range []string{"true", "false"} {
		all, err := c.ownImages(ctx, hidden)
		if err != nil {
			return nil, err
		}
		there.add(all)
	}
	return there, nil
}

// LayerUse is a layer that an image's archive leaves out.
type LayerUse struct {
	ListedLayer
	Others int // images of the project that have it, too
}

// mostImages is how many archives are read to say who else has a layer.
const mostImages = 500

// LayerUses returns the layers that the archive of an image of the project leaves out, each once, and how many other images
// have them.
func (c *Cloud) LayerUses(ctx context.Context, image Image, reader ListReader) ([]LayerUse, error) {
	op := fmt.Sprintf("read who else has layers of image %q", image.Name)
	if image.Owner != c.project() {
		return nil, &Error{Op: op, Err: errors.New("it belongs to another project")}
	}
	found, err := c.projectImages(ctx)
	if err != nil {
		return nil, err
	}
	if len(found.archives) > mostImages {
		return nil, &Error{Op: op, Err: fmt.Errorf("the project has %d images, and at most %d are read", len(found.archives), mostImages)}
	}
	var own []ListedLayer
	have := map[string][]string{} // ids of images by the digest of a layer, which one image may have twice
	first := append([]Image{image}, without(found.archives, []Image{image})...)
	err = c.eachList(ctx, first, reader, func(of Image, layers []ListedLayer) error {
		if of.ID == image.ID {
			own = layers
		}
		for _, layer := range layers {
			ids, ask := have[layer.Digest]
			if layer.Image != "" && (ask || of.ID == image.ID) && !slices.Contains(ids, of.ID) {
				have[layer.Digest] = append(ids, of.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return usesOf(own, have), nil
}

func usesOf(layers []ListedLayer, have map[string][]string) []LayerUse {
	var uses []LayerUse
	for _, layer := range layers {
		if images := have[layer.Digest]; layer.Image != "" && images != nil {
			slices.Sort(images)
			uses = append(uses, LayerUse{layer, len(slices.Compact(images)) - 1})
			delete(have, layer.Digest)
		}
	}
	return uses
}
