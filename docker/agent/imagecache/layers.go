package imagecache

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"

	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
	"ndock/docker/archive"
)

// The parts of a request that sends an archive with layers which it leaves out. Each layer is a part, too, by its digest.
const (
	listPart    = "layers" // agent.LeftOutLayers
	archivePart = "archive"
)

// listLimit is the largest list of layers, in bytes. One of 127 layers has 60 KiB.
const listLimit = 1 << 20

// Parts reads the beginning of such a request.
func Parts(body *multipart.Reader, stop func()) (Archive, error) {
	list, err := nextPart(body, listPart)
	if err != nil {
		return Archive{}, err
	}
	var layers agent.LeftOutLayers
	if err := json.NewDecoder(io.LimitReader(list, listLimit)).Decode(&layers); err != nil {
		return Archive{}, agent.Faultf(agent.BadRequest, "the list of layers: %v", err)
	}
	archive, err := nextPart(body, archivePart)
	return Archive{Body: archive, Stop: stop, layers: layers.Layers, more: body}, err
}

func nextPart(body *multipart.Reader, name string) (*multipart.Part, error) {
	part, err := body.NextPart()
	if err == nil && part.FormName() != name {
		err = fmt.Errorf("the next one is %.80q", part.FormName())
	}
	if err != nil {
		return nil, agent.Faultf(agent.BadRequest, "the part %q of the request: %v", name, err)
	}
	return part, nil
}

// Needed returns those of an image's layers that have to be sent to this host, by their digests.
func (c *Cache) Needed(ctx context.Context, glanceID string, asked agent.LeftOutLayers) (agent.NeededLayers, error) {
	if !naming.IsUUID(glanceID) {
		return agent.NeededLayers{}, agent.Faultf(agent.BadRequest, "%q is no image's id", glanceID)
	}
	info, err := c.engine.Info(ctx)
	if err != nil {
		return agent.NeededLayers{}, fmt.Errorf("ask Docker how it keeps images: %w", err)
	}
	chains, err := c.chains.list(ctx, info)
	if err != nil {
		return agent.NeededLayers{}, err
	}
	answer := agent.NeededLayers{Needed: []string{}}
	for _, one := range asked.Layers {
		layer := archive.LeftOut{ChainID: one.ChainID, StoredLayer: archive.StoredLayer{Digest: digest.Digest(one.Digest), DiffID: digest.Digest(one.DiffID)}}
		if _, has := c.has(layer, one.Checksum, chains); !has {
			answer.Needed = append(answer.Needed, one.Digest)
		}
	}
	return answer, nil
}

// has tells whether the engine has a layer, and what it takes. An archive proves nothing by what it says of a layer: who
// sends one could name any layer of another project's. So it counts only that Glance has computed this checksum of bytes that
// the image's owner has stored, and that this host knows what is in such bytes.
func (c *Cache) has(layer archive.LeftOut, checksum string, chains map[string]bool) (archive.LayerSize, bool) {
	known, ok := c.facts.find(checksum)
	return known.Size, ok && known.Digest == string(layer.Digest) && known.DiffID == string(layer.DiffID) && chains[layer.ChainID]
}

// formsLimit is how many forms of a layer are named: Glance is asked for each, and a tenant may compress a layer in any number
// of ways.
const formsLimit = 8

// StoredForms returns the bytes that this host has found to be a layer, by the layer's diff id.
func (c *Cache) StoredForms() map[string][]agent.StoredForm {
	forms := map[string][]agent.StoredForm{}
	for _, one := range c.facts.all() {
		if len(forms[one.DiffID]) < formsLimit {
			forms[one.DiffID] = append(forms[one.DiffID], agent.StoredForm{Digest: one.Digest, Checksum: one.Checksum})
		}
	}
	return forms
}

// sentLayers is the archive.LayerSource of one request.
type sentLayers struct {
	cache     *Cache
	chains    map[string]bool
	checksums map[digest.Digest]string // as Glance says
	more      *multipart.Reader
	read      map[string]hash.Hash // SHA-512 of each layer that was read, by its digest
	had       []archive.LeftOut    // which the engine has
}

// layersOf returns nil for a whole archive.
func (c *Cache) layersOf(ctx context.Context, from Archive, info system.Info) (*sentLayers, error) {
	if from.more == nil {
		return nil, nil
	}
	chains, err := c.chains.list(ctx, info)
	if err != nil {
		return nil, err
	}
	s := &sentLayers{cache: c, chains: chains, checksums: map[digest.Digest]string{}, more: from.more, read: map[string]hash.Hash{}}
	for _, one := range from.layers {
		s.checksums[digest.Digest(one.Digest)] = one.Checksum
	}
	return s, nil
}

// Has implements archive.LayerSource.
func (s *sentLayers) Has(layer archive.LeftOut) (archive.LayerSize, bool) {
	size, has := s.cache.has(layer, s.checksums[layer.Digest], s.chains)
	if has {
		s.had = append(s.had, layer)
	}
	return size, has
}

// Open implements archive.LayerSource. A layer that was sent and is not needed is passed over.
func (s *sentLayers) Open(layer archive.LeftOut) (io.ReadCloser, error) {
	for {
		part, err := s.more.NextPart()
		if err == io.EOF {
			return nil, &archive.LayersLeftOut{Layers: []archive.LeftOut{layer}}
		}
		if err != nil {
			return nil, err
		}
		if part.FormName() == string(layer.Digest) {
			sum := sha512.New()
			s.read[string(layer.Digest)] = sum
			return struct {
				io.Reader
				io.Closer
			}{io.TeeReader(part, sum), part}, nil
		}
	}
}

// end reads the request to its end, without which no image is whole: a caller who finds its signature to be wrong breaks it off.
func (s *sentLayers) end() error {
	for {
		if _, err := s.more.NextPart(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// keepFacts records what was found in the layers that were read. Without a record, a layer is sent once more.
func (s *sentLayers) keepFacts(layers []archive.Layer) {
	for _, layer := range layers {
		name := layer.Digest()
		sum, read := s.read[name]
		if !read {
			continue
		}
		one := fact{Checksum: hex.EncodeToString(sum.Sum(nil)), Digest: name, DiffID: layer.DiffID, Size: layer.LayerSize}
		if err := s.cache.facts.keep(one); err != nil {
			s.cache.log.Warn("a layer is not remembered", "reason", err)
		}
	}
}

// leftOut makes a fault that lists the layers to be sent, of an error about those that are left out.
func leftOut(err error) error {
	var left *archive.LayersLeftOut
	if !errors.As(err, &left) {
		return err
	}
	fault := &agent.Fault{Code: agent.LayersLeftOut, Message: "its archive leaves out layers, which this host has to be sent with it"}
	for _, layer := range left.Layers {
		fault.Layers = append(fault.Layers, agent.LeftOutLayer{
			Digest: string(layer.Digest), DiffID: string(layer.DiffID), ChainID: layer.ChainID, Size: layer.Size, Image: layer.Image,
		})
	}
	return fault
}
