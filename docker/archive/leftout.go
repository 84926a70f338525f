package archive

import (
	"archive/tar"
	"cmp"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

// listName is the entry that lists the layers of an archive which Compose has written. Other readers ignore it.
const listName = "layers.json"

// layerList is what that entry holds.
type layerList struct {
	Version int           `json:"version"`
	Layers  []StoredLayer `json:"layers"` // lowest first, image after image; and what else is left out
}

// listVersion is the only version so far.
const listVersion = 1

// StoredLayer is a layer as it is stored: in an archive, or as a Glance image of its own.
type StoredLayer struct {
	Digest    digest.Digest `json:"digest"`           // of the stored bytes
	DiffID    digest.Digest `json:"diffID,omitempty"` // of the uncompressed layer; an artifact's blob has none
	Size      int64         `json:"size"`             // of the stored bytes
	MediaType string        `json:"mediaType,omitempty"`
	Image     string        `json:"image,omitempty"` // id of the Glance image that has the bytes, where the archive leaves them out; a hint
}

// LeftOut is a layer that an image has, and that its archive leaves out.
type LeftOut struct {
	StoredLayer
	Number  int    // in the image; 1 is the lowest
	ChainID string // names the layer with all that are below it, as Docker Engine does
}

// LayersLeftOut is the error about an archive that leaves layers out, where nobody has them. It wraps an *Error.
type LayersLeftOut struct{ Layers []LeftOut }

func (e *LayersLeftOut) Error() string { return e.Unwrap().Error() }

func (e *LayersLeftOut) Unwrap() error {
	first := e.Layers[0]
	return refuse("it leaves out its layer %d, %s, which is in Glance: 'ndock image pull-glance' writes a whole archive", first.Number, shortDigest(string(first.Digest)))
}

// LayerSource has the layers that an archive leaves out.
type LayerSource interface {
	// Has returns true where the bytes are not needed, since whoever gets the image has the layer, with what reading it
	// once found. An archive may be hostile: that it names a layer is no proof that its owner has ever had it.
	Has(LeftOut) (LayerSize, bool)
	// Open returns the stored bytes, which are verified while they are read.
	Open(LeftOut) (io.ReadCloser, error)
}

// longestWord is more than a diff id, a media type or an image's id of Glance has, in bytes. A list of layers is kept in memory.
const longestWord = 256

// check refuses what cannot be a layer's digest and size, and what else of it is too long.
func (s StoredLayer) check() error {
	if !isSHA256(s.Digest) || s.Size <= 0 {
		return refuse("has %d bytes and the digest %.80q, and a layer has some, and a SHA-256", s.Size, s.Digest)
	}
	for _, word := range []string{string(s.DiffID), s.MediaType, s.Image} {
		if len(word) > longestWord {
			return refuse("says of itself %.40q…, which has %d bytes, and may have %d", word, len(word), longestWord)
		}
	}
	return nil
}

// leftOut returns the layers of an image that the archive leaves out, each once, lowest first.
func (i index) leftOut(image chosenImage) ([]LeftOut, error) {
	if i.list.entry == 0 {
		return nil, nil
	}
	var listed map[string]StoredLayer
	var all []LeftOut
	for n, name := range image.paths {
		name = entryName(name)
		if _, there := i.findLayer(name); there {
			continue
		}
		if listed == nil {
			var err error
			if listed, err = i.list.byName(); err != nil {
				return nil, err
			}
		}
		layer, ok := listed[name]
		if !ok {
			continue // it is missing
		}
		delete(listed, name)
		if layer.DiffID = cmp.Or(layer.DiffID, image.diffIDs[n]); layer.DiffID != image.diffIDs[n] {
			return nil, refuse("its layer %d is %s in its %s, and %s in its configuration", n+1, shortDigest(string(layer.DiffID)), listName, shortDigest(string(image.diffIDs[n])))
		}
		all = append(all, LeftOut{StoredLayer: layer, Number: n + 1, ChainID: string(identity.ChainID(image.diffIDs[:n+1]))})
	}
	return all, nil
}

// listEntry is the list as it stands in an archive.
type listEntry struct {
	text  []byte
	entry int // 1 is the archive's first, 0 means that there is none
}

// byName returns the layers that the list has, by their names in the archive. A list counts as the first entry only: who
// removes layers that nobody needs reads no further.
func (l listEntry) byName() (map[string]StoredLayer, error) {
	if l.entry != 1 {
		return nil, refuse("it leaves layers out, and its %s is its entry %d, where it must be the first", listName, l.entry)
	}
	layers, err := parseList(l.text)
	listed := map[string]StoredLayer{}
	for n, layer := range layers {
		name := blobPath(string(layer.Digest))
		if before, twice := listed[name]; twice && (before.DiffID != layer.DiffID || before.Size != layer.Size) {
			return nil, refuse("its %s: its layer %d is listed before with another diff id or size", listName, n+1)
		}
		listed[name] = layer
	}
	return listed, err
}

// parseList returns the layers that a list has, lowest first.
func parseList(text []byte) ([]StoredLayer, error) {
	var list layerList
	if err := parseJSON(text, &list); err != nil {
		return nil, refuse("its %s: %v", listName, err)
	}
	if list.Version != listVersion {
		return nil, refuse("its %s has the version %d, and this ndock reads version %d: a newer one reads it", listName, list.Version, listVersion)
	}
	if err := checkMax(len(list.Layers), listLimit, "layers"); err != nil {
		return nil, refuse("its %s: %v", listName, err)
	}
	for n, layer := range list.Layers {
		if err := layer.check(); err != nil {
			return nil, refuse("its %s: its layer %d %v", listName, n+1, err)
		}
	}
	return list.Layers, nil
}

// readLeftOut reads the layers that the archive leaves out, as if they came last in it.
func (r *reader) readLeftOut(image chosenImage, from LayerSource) error {
	missing, err := r.index.leftOut(image)
	if err != nil {
		return err
	}
	if len(missing) > 0 && from == nil {
		return &LayersLeftOut{missing}
	}
	var total int64
	for _, layer := range missing {
		total = AddSizes(total, layer.Size)
		if err := r.limits.checkArchiveSize(total); err != nil {
			return err
		}
		if err := r.readOneLeftOut(layer, from); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readOneLeftOut(layer LeftOut, from LayerSource) error {
	name := blobPath(string(layer.Digest))
	if size, has := from.Has(layer); has {
		r.index.layers[name] = Layer{Path: name, Size: layer.Size, LeftOut: true, wasInspected: true, layerInfo: layerInfo{DiffID: string(layer.DiffID), LayerSize: size}}
		return nil
	}
	stored, err := from.Open(layer)
	if err != nil {
		return err
	}
	defer stored.Close()
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: layer.Size}
	return r.readLayer(name, header, newVerifiedReader(stored, layer))
}

// verifiedReader reads a stored layer. It ends with an *Error where the bytes are not those that the digest names.
type verifiedReader struct {
	digest.Verifier
	from  io.Reader
	layer LeftOut
}

func newVerifiedReader(stored io.Reader, layer LeftOut) *verifiedReader {
	return &verifiedReader{Verifier: layer.Digest.Verifier(), from: io.LimitReader(stored, layer.Size), layer: layer}
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	_, _ = v.Write(p[:n]) // a hash takes everything
	if err == io.EOF && !v.Verified() {
		err = refuse("its layer %d is damaged where it is stored: it should be %s", v.layer.Number, shortDigest(string(v.layer.Digest)))
	}
	return n, err
}
