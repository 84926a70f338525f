package commands

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"ndock/docker/archive"
	"ndock/docker/image"
	"ndock/openstack"
)

// content is an archive that Glance is given.
type content struct{ *image.Archive }

func openContent(opened *image.Archive, err error) (openstack.Content, error) {
	if err != nil {
		return nil, err
	}
	return content{opened}, nil
}

// Found is in Glance's words.
func (c content) Found() openstack.DockerImage { return glanceMetadata(c.Archive.Metadata()) }

// Layers is in Glance's words. It is empty for an archive that leaves none out.
func (c content) Layers() []openstack.StoredLayer {
	var all []openstack.StoredLayer
	leftOut := false
	for _, layer := range c.Archive.Layers() {
		leftOut = leftOut || layer.Image != ""
		all = append(all, glanceLayer(image.StoredLayer{StoredLayer: layer}))
	}
	if !leftOut {
		return nil
	}
	return all
}

// glanceLayers is the image.LayerStore of a project: its hidden images.
type glanceLayers struct {
	cloud    *openstack.Cloud
	of       string // the image, for errors
	progress io.Writer
}

// Find implements image.LayerStore.
func (g glanceLayers) Find(ctx context.Context, layers []digest.Digest) (map[digest.Digest]image.StoredLayer, error) {
	var names []string
	for _, layer := range layers {
		names = append(names, string(layer))
	}
	found, err := g.cloud.Layers(ctx, names)
	if err != nil {
		return nil, err
	}
	all := map[digest.Digest]image.StoredLayer{}
	for _, layer := range found {
		all[digest.Digest(layer.Digest)] = storedLayer(layer)
	}
	return all, nil
}

// Send implements image.LayerStore.
func (g glanceLayers) Send(ctx context.Context, content io.Reader, inspected func() (image.StoredLayer, error)) (image.StoredLayer, error) {
	stored, err := g.cloud.SendLayer(ctx, openstack.LayerUpload{Of: g.of, Content: content, Progress: g.progress, Found: func() (openstack.StoredLayer, error) {
		found, err := inspected()
		return glanceLayer(found), err
	}})
	return storedLayer(stored), err
}

func glanceLayer(layer image.StoredLayer) openstack.StoredLayer {
	return openstack.StoredLayer{
		Digest: string(layer.Digest), DiffID: string(layer.DiffID), MediaType: layer.MediaType, Size: layer.Size, Unpacked: layer.Unpacked, Image: layer.Image,
	}
}

func storedLayer(layer openstack.StoredLayer) image.StoredLayer {
	return image.StoredLayer{Unpacked: layer.Unpacked, StoredLayer: archive.StoredLayer{
		Digest: digest.Digest(layer.Digest), DiffID: digest.Digest(layer.DiffID), MediaType: layer.MediaType, Size: layer.Size, Image: layer.Image,
	}}
}
