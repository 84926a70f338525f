package instance

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/agent"
	"ndock/docker/archive"
	"ndock/docker/engine/layerfiles"
)

// heldCommits are the images whose layers may be read, while whoever has asked for them is there.
type heldCommits struct {
	mu   sync.Mutex
	byID map[string]heldCommit
}

// heldCommit is an image of a server's files.
type heldCommit struct {
	ctx    context.Context // ends with it
	id     string
	image  agent.Image
	store  layerfiles.Store
	layers []layerfiles.Layer // lowest first; none where they cannot be had one by one
}

func newHeldCommits() *heldCommits { return &heldCommits{byID: map[string]heldCommit{}} }

func (h *heldCommits) put(one heldCommit) (remove func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byID[one.id] = one
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.byID, one.id)
	}
}

// with calls do with a commit that is held. Its context ends when the commit is no longer held, too.
func (h *heldCommits) with(ctx context.Context, id string, do func(ctx context.Context, held heldCommit) error) error {
	h.mu.Lock()
	held, ok := h.byID[id]
	h.mu.Unlock()
	if !ok {
		return agent.Faultf(agent.BadRequest, "the agent holds no commit %.80q: it does so while the request for it is open", id)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(held.ctx, cancel)()
	return do(ctx, held)
}

// Hold commits the server's container as Take does, and says what the image is. It can be read by the other methods until
// ctx is done; then it is removed.
func (s *Snapshots) Hold(ctx context.Context, uuid string, say func(agent.Commit) error) error {
	return s.withCommit(ctx, uuid, func(image agent.Image) error {
		held, err := s.inspect(ctx, image)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		held.ctx = ctx
		defer s.held.put(held)()
		if err := say(agent.Commit{Image: image, Layers: held.described()}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// inspect looks whether the layers of an image can be had one by one. Where they cannot, there is the whole image.
func (s *Snapshots) inspect(ctx context.Context, image agent.Image) (heldCommit, error) {
	held := heldCommit{id: image.ID, image: image}
	if s.whole {
		return held, nil
	}
	store, layers, err := s.layersOf(ctx, image.ID)
	if err != nil && ctx.Err() == nil && !errors.Is(err, layerfiles.ErrNotHere) {
		s.log.Warn("a snapshot is sent whole, since its layers cannot be read", "image", image.ID, "reason", err)
	}
	held.store, held.layers = store, layers
	return held, ctx.Err()
}

func (h heldCommit) described() []agent.CommitLayer {
	all := []agent.CommitLayer{}
	for _, one := range h.layers {
		all = append(all, agent.CommitLayer{DiffID: string(one.DiffID), Size: one.Size, Unpacked: one.Unpacked})
	}
	return all
}

// Whole writes the image of a commit that is held, as Docker saves it.
func (s *Snapshots) Whole(ctx context.Context, id string, dst io.Writer) error {
	return s.held.with(ctx, id, func(ctx context.Context, held heldCommit) error {
		return s.save(ctx, held.image, func(archive io.Reader) error {
			_, err := io.Copy(dst, archive)
			return err
		})
	})
}

// Layer writes a layer of a commit that is held, as a plain tar. Without an error it is the one with this diff id.
func (s *Snapshots) Layer(ctx context.Context, id, diffID string, dst io.Writer) error {
	return s.held.with(ctx, id, func(ctx context.Context, held heldCommit) error {
		layer, err := held.layer(diffID)
		if err != nil {
			return err
		}
		content, err := layer.Open(ctx)
		if err != nil {
			return err
		}
		defer content.Close()
		_, err = io.Copy(dst, content)
		return err
	})
}

func (h heldCommit) layer(diffID string) (layerfiles.Layer, error) {
	at := slices.IndexFunc(h.layers, func(one layerfiles.Layer) bool { return string(one.DiffID) == diffID })
	if at < 0 {
		return layerfiles.Layer{}, agent.Faultf(agent.BadRequest, "commit %s has no layer %.80q that can be read", h.id, diffID)
	}
	return h.layers[at], nil
}

// Archive writes the image of a commit that is held, as an archive that leaves out those of its layers that are said to be
// images of Glance. Before that it tells the digest of its manifest.
func (s *Snapshots) Archive(ctx context.Context, id string, stored agent.StoredLayers, dst io.Writer, manifest func(digest.Digest)) error {
	return s.held.with(ctx, id, func(ctx context.Context, held heldCommit) error {
		image, err := held.compose(ctx, stored.Layers)
		if err != nil {
			return err
		}
		manifest(digest.FromBytes(image.Manifest))
		return archive.Compose(dst, image)
	})
}

// compose makes an OCI image of a commit and of how its layers are stored.
func (h heldCommit) compose(ctx context.Context, stored []agent.StoredLayer) (archive.Composed, error) {
	if len(h.layers) == 0 || len(stored) != len(h.layers) {
		return archive.Composed{}, agent.Faultf(agent.BadRequest, "commit %s has %d layers that can be read, and the request is for %d", h.id, len(h.layers), len(stored))
	}
	config, err := h.store.Config(digest.Digest(h.id))
	if err != nil {
		return archive.Composed{}, err
	}
	image := archive.Composed{Config: config, Open: func(one archive.StoredLayer) (io.ReadCloser, error) {
		layer, err := h.layer(string(one.DiffID))
		if err != nil {
			return nil, err
		}
		return layer.Open(ctx)
	}}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.Digest(h.id), Size: int64(len(config))},
	}
	for n, one := range stored {
		layer, err := storedAs(h.layers[n], one)
		if err != nil {
			return archive.Composed{}, err
		}
		image.Layers = append(image.Layers, layer)
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{MediaType: layer.MediaType, Digest: layer.Digest, Size: layer.Size})
	}
	image.Manifest, err = json.Marshal(manifest)
	return image, err
}

// storedAs checks how a layer is stored. One that is no image of Glance is in the archive, as a plain tar.
func storedAs(layer layerfiles.Layer, as agent.StoredLayer) (archive.StoredLayer, error) {
	plain := as.Digest == string(layer.DiffID)
	switch {
	case as.DiffID != string(layer.DiffID):
		return archive.StoredLayer{}, agent.Faultf(agent.BadRequest, "the layer is %s, and the request is for %.80q", layer.DiffID, as.DiffID)
	case as.Image == "" && !plain, plain && as.Size != layer.Size:
		return archive.StoredLayer{}, agent.Faultf(agent.BadRequest, "layer %s is a tar of %d bytes, and no %.80q of %d", layer.DiffID, layer.Size, as.Digest, as.Size)
	}
	return archive.StoredLayer{Digest: digest.Digest(as.Digest), DiffID: layer.DiffID, Size: as.Size, MediaType: mediaType(as.MediaType), Image: as.Image}, nil
}

// mediaType is OCI's for a layer of a media type that anyone may have written down.
func mediaType(said string) string {
	switch {
	case strings.HasSuffix(said, "gzip"):
		return ocispec.MediaTypeImageLayerGzip
	case strings.HasSuffix(said, "zstd"):
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayer
}
