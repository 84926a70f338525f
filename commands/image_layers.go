package commands

import (
	"context"
	"fmt"
	"io"
	"sync"

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
	sending  *sentLayers
}

// sentLayers are the layers that a command sends: those that several of its images have are sent once.
type sentLayers struct {
	mu  sync.Mutex // guards the map; a layer's other fields are set before done is closed
	all map[digest.Digest]*sentLayer
}

type sentLayer struct {
	done   chan struct{}
	stored image.StoredLayer
	err    error
}

// begin returns a layer that somebody sends, or has sent, or else a new one, which the caller sends.
func (s *sentLayers) begin(named digest.Digest) (layer *sentLayer, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if layer, there := s.all[named]; there && named != "" {
		return layer, false
	}
	layer = &sentLayer{done: make(chan struct{})}
	s.all[named] = layer
	return layer, true
}

// end tells those who wait. One that was not stored is sent by the next.
func (s *sentLayers) end(named digest.Digest, layer *sentLayer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if layer.err != nil {
		delete(s.all, named)
	}
	close(layer.done)
}

// wait returns the layer that another image's push sends. Its own content is read all the same, for it is verified so.
func (l *sentLayer) wait(ctx context.Context, content io.Reader, inspected func() (image.StoredLayer, error)) (image.StoredLayer, error) {
	if _, err := io.Copy(io.Discard, content); err != nil {
		return image.StoredLayer{}, err
	}
	if _, err := inspected(); err != nil {
		return image.StoredLayer{}, err
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return image.StoredLayer{}, context.Cause(ctx)
	}
	if l.err != nil {
		return image.StoredLayer{}, &openstack.Error{Op: "send a layer", Err: fmt.Errorf("it was sent with another image, and that failed: %v", l.err)}
	}
	return l.stored, nil
}

// forget drops a layer that was sent, and is gone again.
func (s *sentLayers) forget(gone digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if layer, there := s.all[gone]; there {
		select {
		case <-layer.done:
			delete(s.all, gone)
		default:
		}
	}
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
	for _, layer := range layers {
		if _, there := all[layer]; !there {
			g.sending.forget(layer)
		}
	}
	return all, nil
}

// Send implements image.LayerStore.
func (g glanceLayers) Send(ctx context.Context, named digest.Digest, content io.Reader, inspected func() (image.StoredLayer, error)) (image.StoredLayer, error) {
	layer, mine := g.sending.begin(named)
	if !mine {
		return layer.wait(ctx, content, inspected)
	}
	defer g.sending.end(named, layer)
	layer.stored, layer.err = g.send(ctx, content, inspected)
	return layer.stored, layer.err
}

func (g glanceLayers) send(ctx context.Context, content io.Reader, inspected func() (image.StoredLayer, error)) (image.StoredLayer, error) {
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
