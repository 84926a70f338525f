package glance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/manifest/schema2"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// What a manifest may be, with all that an index is about.
const (
	maxDepth     = 4
	maxManifests = 256
	maxBlobs     = 4096
	maxContent   = 32 << 20 // bytes in the image itself
)

// Put implements distribution.ManifestService.
func (m *manifests) Put(ctx context.Context, manifest distribution.Manifest, options ...distribution.ManifestServiceOption) (digest.Digest, error) {
	mediaType, payload, err := manifest.Payload()
	if err != nil {
		return "", invalid(err.Error())
	}
	said := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(payload), Size: int64(len(payload))}
	tag := tagOf(options)
	leave, err := m.turn(ctx, m.storing) // before anything else is read into memory
	if err != nil {
		return "", m.explain(ctx, "wait for a turn", err)
	}
	defer leave()
	ctx, cancel := context.WithTimeoutCause(ctx, storeWithin, errSlow)
	defer cancel()
	c := &composer{manifests: m, room: maxContent, wanted: map[digest.Digest]int64{}, configs: map[digest.Digest]bool{}}
	made, err := c.compose(ctx, said, manifest, payload)
	if err != nil {
		return "", err
	}
	requestOf(ctx).Subject = made.Subject
	if there, err := m.stored(ctx, tag, said.Digest); there || err != nil {
		return said.Digest, err
	}
	if err := c.place(ctx, &made); err != nil {
		return "", err
	}
	made.Tag = tag
	defer m.known.changed(m.owner.project, m.short)
	_, err = m.project.Store(ctx, made)
	switch {
	case errors.Is(err, ErrBlobsGone):
		return "", m.blobsGone(made)
	case err != nil:
		return "", m.explain(ctx, "store an image", err)
	}
	for _, d := range c.order {
		m.small.stored(m.owner, d)
	}
	return said.Digest, nil
}

func tagOf(options []distribution.ManifestServiceOption) string {
	for _, one := range options {
		if with, ok := one.(distribution.WithTagOption); ok {
			return with.Tag
		}
	}
	return ""
}

// stored returns whether there is nothing to do: the tag stands for the manifest already, or one without a tag is there.
func (m *manifests) stored(ctx context.Context, tag string, d digest.Digest) (bool, error) {
	find := func() (Image, error) { return m.project.Tagged(ctx, m.short, tag) }
	if tag == "" {
		find = func() (Image, error) { return m.project.WithDigest(ctx, m.short, d) }
	}
	image, err := find()
	if err == nil && image.Digest != d {
		return false, nil
	}
	if err == nil {
		_, err = m.manifestOf(ctx, image, d) // or else a push could not mend it
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, m.explain(ctx, "find an image", err)
	}
	return true, nil
}

// blobsGone forgets the layers of a manifest, so that the client is asked for them again.
func (m *manifests) blobsGone(of Manifest) error {
	var gone []digest.Digest
	for _, one := range of.all() {
		for _, part := range one.Parts {
			if part.Content == nil {
				m.known.gone(m.owner.project, Blob{Digest: part.Descriptor.Digest, Image: part.Image})
				gone = append(gone, part.Descriptor.Digest)
			}
		}
	}
	return blobsUnknown(gone)
}

// all returns the manifest, and all below it.
func (m Manifest) all() []Manifest {
	found := []Manifest{m}
	for _, one := range m.Manifests {
		found = append(found, one.all()...)
	}
	return found
}

// compose returns a manifest with all that belongs to it, once all of it is found.
func (c *composer) compose(ctx context.Context, said v1.Descriptor, manifest distribution.Manifest, payload []byte) (Manifest, error) {
	made, err := c.collect(ctx, said, manifest, payload, 1)
	switch {
	case err != nil:
		return Manifest{}, err
	case len(c.missing) > 0:
		return Manifest{}, blobsUnknown(c.missing)
	}
	if c.found, err = c.find(ctx); err == nil && len(c.missing) > 0 {
		err = blobsUnknown(c.missing)
	}
	return made, err
}

// fill says of each part where it is.
func fill(made *Manifest, placed map[digest.Digest]Part) {
	for i := range made.Parts {
		at := placed[made.Parts[i].Descriptor.Digest]
		made.Parts[i].Image, made.Parts[i].Content = at.Image, at.Content
	}
	for i := range made.Manifests {
		fill(&made.Manifests[i], placed)
	}
}

// composer makes a Manifest of a pushed one: it collects what is named, finds it, and says where it goes.
type composer struct {
	*manifests
	count   int
	room    int64 // bytes that the image's own bytes may still take
	order   []digest.Digest
	wanted  map[digest.Digest]int64 // sizes of the blobs that manifests name
	configs map[digest.Digest]bool  // which of them are configurations: images are to have them in their own bytes
	missing []digest.Digest
	found   map[digest.Digest]located
	images  map[digest.Digest]Image // the repository's, by their manifests
}

// collect reads the manifests below one.
func (c *composer) collect(ctx context.Context, said v1.Descriptor, manifest distribution.Manifest, payload []byte, depth int) (Manifest, error) {
	c.count++
	c.room -= int64(len(payload))
	switch {
	case depth > maxDepth:
		return Manifest{}, invalid(fmt.Sprintf("indexes are more than %d deep", maxDepth))
	case c.count > maxManifests || c.room < 0:
		return Manifest{}, invalid(fmt.Sprintf("the index is about more than %d manifests, or too many bytes of them", maxManifests))
	}
	made := Manifest{Repository: c.short, Descriptor: said, Payload: payload, Subject: subjectOf(payload)}
	if !isIndex(manifest) {
		parts, err := c.parts(manifest)
		made.Parts = parts
		return made, err
	}
	for _, one := range manifest.References() {
		child, err := c.child(ctx, one, depth+1)
		if err != nil {
			return Manifest{}, err
		}
		made.Manifests = append(made.Manifests, child)
	}
	return made, nil
}

// parts returns the blobs that a manifest names.
func (c *composer) parts(manifest distribution.Manifest) ([]Part, error) {
	var parts []Part
	for n, one := range manifest.References() {
		if n == 0 {
			c.configs[one.Digest] = true
		}
		if err := checkElsewhere(one); err != nil {
			return nil, err
		}
		size, known := c.wanted[one.Digest]
		switch {
		case !known256(one.Digest):
			c.missing = append(c.missing, one.Digest)
		case known && size != one.Size:
			return nil, invalid(fmt.Sprintf("blob %s has %d bytes in one place, and %d in another", one.Digest, size, one.Size))
		case !known:
			c.order = append(c.order, one.Digest)
			c.wanted[one.Digest] = one.Size
		}
		if len(c.order)+len(c.missing) > maxBlobs {
			return nil, invalid(fmt.Sprintf("there are more than %d blobs", maxBlobs))
		}
		parts = append(parts, Part{Descriptor: one})
	}
	return parts, nil
}

// checkElsewhere refuses layers that clients are to fetch from elsewhere, as distribution does unless it is told otherwise.
func checkElsewhere(layer v1.Descriptor) error {
	ofOCI := strings.HasPrefix(layer.MediaType, "application/vnd.oci.image.layer.")
	if layer.MediaType == schema2.MediaTypeForeignLayer || ofOCI && len(layer.URLs) > 0 {
		return invalid(fmt.Sprintf("layer %s is to be fetched from elsewhere, and this registry keeps whole images only", layer.Digest))
	}
	return nil
}

// child reads a manifest of an index, which must be in the repository.
func (c *composer) child(ctx context.Context, said v1.Descriptor, depth int) (Manifest, error) {
	payload, err := c.childPayload(ctx, said.Digest)
	if errors.Is(err, ErrNotFound) {
		c.missing = append(c.missing, said.Digest)
		if len(c.missing) > maxManifests {
			return Manifest{}, blobsUnknown(c.missing)
		}
		return Manifest{}, nil
	}
	if err != nil {
		return Manifest{}, c.explain(ctx, "read a manifest of an index", err)
	}
	manifest, err := parse(payload)
	switch {
	case err != nil:
		return Manifest{}, invalid(fmt.Sprintf("%s, which the index names, is no manifest: %v", said.Digest, err))
	case said.Size != int64(len(payload)):
		return Manifest{}, invalid(fmt.Sprintf("manifest %s has %d bytes, and not %d", said.Digest, len(payload), said.Size))
	}
	return c.collect(ctx, said, manifest, payload, depth)
}

func (c *composer) childPayload(ctx context.Context, d digest.Digest) ([]byte, error) {
	if c.images == nil {
		images, err := c.imagesNow(ctx)
		if err != nil {
			return nil, err
		}
		c.images = map[digest.Digest]Image{}
		for _, one := range slices.Backward(images) { // the newest counts
			c.images[one.Digest] = one
		}
	}
	if image, ok := c.images[d]; ok {
		if content, err := c.manifestOf(ctx, image, d); !errors.Is(err, ErrNotFound) {
			return content, err
		}
	}
	if !known256(d) {
		return nil, ErrNotFound
	}
	inside, err := c.findInside(ctx, d)
	if errors.Is(err, distribution.ErrBlobUnknown) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c.readManifest(ctx, inside)
}

// find looks for the blobs: in memory, as images of their own, which Glance is asked for now, and in the bytes of other images.
func (c *composer) find(ctx context.Context) (map[digest.Digest]located, error) {
	found := map[digest.Digest]located{}
	var rest []digest.Digest
	for _, d := range c.order {
		if content, ok := c.small.get(c.owner, d); ok {
			found[d] = inMemory(d, content)
		} else {
			rest = append(rest, d)
		}
	}
	layers, err := c.layers(ctx, rest)
	if err != nil {
		return nil, err
	}
	for _, d := range rest {
		at, layer := layers[d]
		ok := layer
		if !ok {
			at, ok = c.known.insideOf(c.owner.project, d)
		}
		if !ok {
			at, err = c.findInside(ctx, d)
		}
		switch {
		case errors.Is(err, distribution.ErrBlobUnknown):
			c.missing, err = append(c.missing, d), nil
			c.known.forget(c.owner.project, d) // or else the client would be told that it is there
			continue
		case err != nil:
			return nil, err
		}
		found[d] = located{Blob: at, layer: layer}
	}
	return found, c.checkSizes(found)
}

func (c *composer) checkSizes(found map[digest.Digest]located) error {
	for d, at := range found {
		if at.Size != c.wanted[d] {
			return invalid(fmt.Sprintf("blob %s has %d bytes, and not %d", d, at.Size, c.wanted[d]))
		}
	}
	return nil
}

// place puts small blobs into the image, as long as there is room, and makes images of the others that are none yet.
func (c *composer) place(ctx context.Context, made *Manifest) error {
	placed := map[digest.Digest]Part{}
	for _, d := range c.order {
		at := c.found[d]
		var part Part
		var err error
		switch {
		case at.layer && (!c.configs[d] || at.Size > min(maxSmallBlob, c.room)):
			part.Image = at.Image
		case at.Size <= min(maxSmallBlob, c.room):
			c.room -= at.Size
			part.Content, err = c.read(ctx, at, maxSmallBlob)
		default:
			part.Image, err = c.sendLayer(ctx, at)
		}
		switch {
		case missing(err):
			c.known.gone(c.owner.project, at.Blob)
			return blobsUnknown([]digest.Digest{d})
		case err != nil:
			return c.explain(ctx, "read a blob", err)
		}
		placed[d] = part
	}
	fill(made, placed)
	return nil
}

// sendLayer makes an image of a blob that is in memory or in another image.
func (c *composer) sendLayer(ctx context.Context, at located) (string, error) {
	from := io.ReadCloser(io.NopCloser(bytes.NewReader(at.content)))
	if at.content == nil {
		var err error
		if from, err = c.project.Open(ctx, at.Blob, 0); err != nil {
			return "", err
		}
	}
	defer from.Close()
	verifier := at.Digest.Verifier()
	blob, err := c.project.SendLayer(ctx, io.TeeReader(io.LimitReader(from, at.Size), verifier), func() (digest.Digest, error) {
		if !verifier.Verified() {
			return "", fmt.Errorf("%w: blob %s of image %s is another one", errDamaged, at.Digest, at.Image)
		}
		return at.Digest, nil
	})
	if err != nil {
		return "", err
	}
	c.known.addLayer(c.owner.project, blob)
	return blob.Image, nil
}
