package archive

import (
	"archive/tar"
	"encoding/json"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Composed is an image whose layers can be had one by one.
type Composed struct {
	Manifest []byte // Docker's or OCI's; the archive has it unchanged, so its digest stays
	Config   []byte
	Layers   []StoredLayer // lowest first; those with an Image are left out

	// Open returns the stored bytes of a layer that is not left out. They are verified while they are read. Where it is nil,
	// all layers are left out.
	Open func(StoredLayer) (io.ReadCloser, error)
}

// Compose writes an image as a Docker archive that is an OCI layout, too, and lists its layers. It returns an *Error for
// what is no image, or one that does not have these layers.
func Compose(dst io.Writer, image Composed) error {
	if err := image.check(); err != nil {
		return err
	}
	list, err := json.Marshal(layerList{Version: listVersion, Layers: image.Layers})
	if err != nil {
		return err
	}
	w := &writer{out: tar.NewWriter(dst), names: map[string]string{}, written: map[string]bool{}}
	if err := w.writeDescription(listName, list); err != nil {
		return err
	}
	if err := w.writeIndex(image.Manifest); err != nil {
		return err
	}
	id := digest.FromBytes(image.Config)
	described := Contents{ID: string(id), Config: image.Config, configPath: blobPath(string(id))}
	for n, layer := range image.Layers {
		name := blobPath(string(layer.Digest))
		described.Layers = append(described.Layers, Layer{Path: name})
		if w.names[name] = name; layer.Image != "" || image.Open == nil || w.written[name] {
			continue
		}
		if err := image.writeLayer(w, LeftOut{StoredLayer: layer, Number: n + 1}); err != nil {
			return err
		}
	}
	if err := w.writeManifest(described); err != nil {
		return err
	}
	return w.out.Close()
}

func (c Composed) writeLayer(w *writer, layer LeftOut) error {
	stored, err := c.Open(layer.StoredLayer)
	if err != nil {
		return err
	}
	defer stored.Close()
	name := blobPath(string(layer.Digest))
	return w.writeLayer(name, name, layer.Size, newVerifiedReader(stored, layer))
}

// check refuses what Read would not read again.
func (c Composed) check() error {
	found, err := ParseManifest(c.Manifest)
	if err != nil {
		return err
	}
	if err := CheckImageManifest(found); err != nil {
		return err
	}
	if err := verifyDigest("configuration", c.Config, found.Config.Digest); err != nil {
		return err
	}
	config, err := checkConfig(c.Config)
	if err != nil {
		return refuse("its configuration: %v", err)
	}
	if len(found.Layers) != len(c.Layers) || len(config.RootFS.DiffIDs) != len(c.Layers) {
		return refuse("its manifest has %d layers, its configuration %d, and there are %d", len(found.Layers), len(config.RootFS.DiffIDs), len(c.Layers))
	}
	for n, layer := range c.Layers {
		if err := layer.check(); err != nil {
			return refuse("its layer %d %v", n+1, err)
		}
		if !layer.is(found.Layers[n]) || layer.DiffID != config.RootFS.DiffIDs[n] {
			return refuse("its layer %d is %s, and not the one of its manifest and its configuration", n+1, shortDigest(string(layer.Digest)))
		}
	}
	return nil
}

// is tells whether a manifest describes this layer.
func (s StoredLayer) is(described ocispec.Descriptor) bool {
	return s.Digest == described.Digest && s.Size == described.Size
}
