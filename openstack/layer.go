package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// StoredLayer is a layer that an image's archive leaves out. A hidden image of the same project has its bytes.
type StoredLayer struct {
	Digest string // sha256:… of the bytes, which is that image's name
	Image  string // its id, as the archive says: a hint
}

// The properties of an image that is a layer, beside propertySize.
const (
	propertyLayer       = "docker_layer" // its digest
	propertyLayerDiffID = "docker_layer_diff_id"
)

// The properties of an image whose bytes leave layers out.
const (
	propertyStored = "docker_stored_size"        // of all its layers, in bytes
	propertyTrait  = "trait:CUSTOM_NDOCK_LAYERS" // of the nodes that can boot it
)

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
	for _, image := range found {
		if image.Owner == of.Owner {
			return image, nil
		}
	}
	if hinted, err := c.hinted(ctx, op, layer.Image); err != nil || hinted.Owner == of.Owner && hinted.Status == "active" {
		return hinted, err
	}
	if of.Owner != c.project() {
		return Image{}, &Error{Op: op, Err: errors.New("it is private to project " + of.Owner), hint: "servers boot from the image all the same; a user of that project copies it"}
	}
	return Image{}, &Error{Op: op, Err: errors.New("it is not in Glance any more"), hint: "push the image again"}
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
