// Package layerfiles reads single layers out of the files of a Docker Engine with overlay2, whose API has only whole images.
// A layer is put together as the engine does it: from the records that tar-split has made of its tar, and from its files.
// The engine's records are trusted as far as they have limits; the files are a tenant's, with any name and of any kind.
package layerfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"ndock/docker/engine"
)

// ErrNotHere is wrapped by errors about an engine, or layers, that have no such files. The whole image can be had all the same.
var ErrNotHere = errors.New("layers cannot be read one by one")

// Store has the layers of an engine.
type Store struct {
	root  string
	sizes *Sizes
}

// Of returns the layers of an engine that says this of itself. What is counted of them is looked up in sizes, and kept there.
func Of(info system.Info, sizes *Sizes) (Store, error) {
	if info.Driver != "overlay2" || engine.InContainerd(info) {
		return Store{}, fmt.Errorf("they are kept by Docker's storage driver %s: %w", info.Driver, ErrNotHere)
	}
	return Store{info.DockerRootDir, sizes}, nil
}

// configLimit is the largest configuration of an image, in bytes: an archive may have one of this size.
const configLimit = 4 << 20

// Config returns the configuration of an image, whose id is its digest.
func (s Store) Config(id digest.Digest) ([]byte, error) {
	if err := checkDigest(id); err != nil {
		return nil, err
	}
	text, err := s.read("image/overlay2/imagedb/content/sha256/"+id.Encoded(), configLimit)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", id, err)
	}
	if digest.FromBytes(text) != id {
		return nil, fmt.Errorf("the configuration of image %s is damaged in %s", id, s.root)
	}
	return text, nil
}

// Layer is one layer of an image. Its plain tar has its diff id as digest.
type Layer struct {
	DiffID   digest.Digest
	Size     int64 // of the tar, in bytes
	Unpacked int64 // of the files in it

	store         Store
	records, diff string // below the store's root
}

// Layers returns the layers of an image with these diff ids, lowest first.
func (s Store) Layers(ctx context.Context, diffIDs []digest.Digest) ([]Layer, error) {
	for _, one := range diffIDs {
		if err := checkDigest(one); err != nil {
			return nil, err
		}
	}
	var all []Layer
	for n, chain := range identity.ChainIDs(slices.Clone(diffIDs)) { // it writes into what it is given
		layer, err := s.layer(ctx, chain, diffIDs[n])
		if err != nil {
			return nil, fmt.Errorf("layer %s in %s: %w", diffIDs[n], s.root, err)
		}
		all = append(all, layer)
	}
	return all, nil
}

// cacheID matches what Docker calls a layer's directory.
var cacheID = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (s Store) layer(ctx context.Context, chain, diffID digest.Digest) (Layer, error) {
	dir := "image/overlay2/layerdb/sha256/" + chain.Encoded() + "/"
	said, err := s.read(dir+"diff", 100)
	if err != nil {
		return Layer{}, err
	}
	if string(said) != string(diffID) {
		return Layer{}, fmt.Errorf("it is called %.80q there", said)
	}
	id, err := s.read(dir+"cache-id", 100)
	if err != nil {
		return Layer{}, err
	}
	if !cacheID.Match(id) {
		return Layer{}, fmt.Errorf("%.80q is no directory of a layer", id)
	}
	layer := Layer{DiffID: diffID, store: s, records: dir + "tar-split.json.gz", diff: "overlay2/" + string(id) + "/diff"}
	layer.Size, layer.Unpacked, err = s.sizes.of(string(id), func() (size, unpacked int64, err error) { return layer.count(ctx) })
	return layer, err
}

// read returns the content of a small file of Docker's.
func (s Store) read(path string, limit int64) ([]byte, error) {
	file, err := s.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return text, err
}

// open opens a file of Docker's.
func (s Store) open(path string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(s.root) // which may be a symbolic link of the operator's
	if err != nil {
		return nil, notHere(err)
	}
	defer root.Close()
	file, err := openFile(root, path)
	return file, notHere(err)
}

// notHere makes ErrNotHere of an error about a file that does not exist.
func notHere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	return err
}

func checkDigest(one digest.Digest) error {
	if one.Validate() != nil || one.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%.80q is no SHA-256", one)
	}
	return nil
}
