package openstack

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// LackingLayer is a layer that an image needs, and that is not in Glance.
type LackingLayer struct {
	Image
	Layer ListedLayer
}

// CheckLayers returns the layers that images of the project lack.
func (c *Cloud) CheckLayers(ctx context.Context, reader ListReader) ([]LackingLayer, error) {
	found, err := c.projectImages(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := c.listedLayers(ctx, found.archives, reader)
	if err != nil {
		return nil, err
	}
	there, err := c.layersThere(ctx) // after the archives, or a push between the two would look broken
	if err != nil {
		return nil, err
	}
	var lacking []LackingLayer
	for _, image := range found.archives {
		for _, layer := range listed[image.ID] {
			if layer.Image != "" && !there[layer.Digest] && !there[layer.Image] {
				lacking = append(lacking, LackingLayer{image, layer})
			}
		}
	}
	return lacking, nil
}

// layersThere returns what a boot finds: hidden images by their digests, and all by their ids.
func (c *Cloud) layersThere(ctx context.Context) (map[string]bool, error) {
	there := map[string]bool{}
	for _, hidden := range []string{"true", "false"} {
		all, err := c.ownImages(ctx, hidden)
		if err != nil {
			return nil, err
		}
		for _, image := range all {
			if image.Status == "active" {
				there[image.ID] = true
				there[image.LayerName()] = there[image.LayerName()] || image.Hidden
			}
		}
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
	listed, err := c.listedLayers(ctx, found.archives, reader)
	if err != nil {
		return nil, err
	}
	have := map[string][]string{} // images by the digest, which one image may have twice
	for id, layers := range listed {
		for _, layer := range layers {
			if layer.Image != "" {
				have[layer.Digest] = append(have[layer.Digest], id)
			}
		}
	}
	return usesOf(listed[image.ID], have), nil
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
