package commands

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/docker"
	"ndock/docker/archive"
	"ndock/openstack"
	"ndock/registry/glance"
)

// Store implements glance.Project: it writes the manifest, with all that is small, as an archive that leaves the layers out.
func (p glanceProject) Store(ctx context.Context, m glance.Manifest) (glance.Image, error) {
	there, err := p.cloud.Layers(ctx, leftOut(m))
	if err != nil {
		return glance.Image{}, glanceError(err)
	}
	bundle, err := newBundling(there).bundle(ctx, m)
	if err != nil {
		return glance.Image{}, err
	}
	images, err := bundle.Images()
	if err != nil {
		return glance.Image{}, err
	}
	from, to := io.Pipe()
	defer from.Close()
	go func() { to.CloseWithError(archive.ComposeBundle(to, bundle)) }()
	stored, err := p.cloud.StoreManifest(ctx, openstack.StoredManifest{
		Repository: m.Repository, Tag: m.Tag, Digest: string(m.Descriptor.Digest), MediaType: m.Descriptor.MediaType, Subject: string(m.Subject),
		Boots: len(images) > 0, Docker: bootedOf(m, images), Layers: layersOf(bundle), Content: from,
	}, func(err error) {
		p.log.Warn("an older image has the tag still", "repository", m.Repository, "tag", m.Tag, "error", err)
	})
	if err != nil {
		return glance.Image{}, glanceError(err)
	}
	return glanceImage(stored), nil
}

// leftOut returns the digests of the blobs that are images of their own.
func leftOut(m glance.Manifest) []string {
	var all []string
	for _, part := range m.Parts {
		if part.Content == nil {
			all = append(all, string(part.Descriptor.Digest))
		}
	}
	for _, one := range m.Manifests {
		all = append(all, leftOut(one)...)
	}
	return all
}

// bundling makes a bundle of a manifest.
type bundling struct {
	there map[string]openstack.StoredLayer         // by their digests
	small map[digest.Digest]archive.InspectedLayer // those that were inspected

	limits *archive.Limits // of all small layers together
	until  time.Time       // when they are inspected no more
}

func newBundling(there map[string]openstack.StoredLayer) *bundling {
	return &bundling{
		there: there, small: map[digest.Digest]archive.InspectedLayer{},
		limits: &archive.Limits{Unpacked: mostUnpackedSmall, Frugal: true}, until: time.Now().Add(mostTimeSmall),
	}
}

func (b *bundling) bundle(ctx context.Context, m glance.Manifest) (archive.Bundle, error) {
	made := archive.Bundle{Descriptor: m.Descriptor, Manifest: m.Payload}
	ofImage := mayBeImage(m)
	for n, part := range m.Parts {
		blob, err := b.blob(ctx, part, n > 0 && ofImage)
		if err != nil {
			return made, err
		}
		made.Blobs = append(made.Blobs, blob)
	}
	for _, one := range m.Manifests {
		child, err := b.bundle(ctx, one)
		if err != nil {
			return made, err
		}
		made.Manifests = append(made.Manifests, child)
	}
	return made, nil
}

// mayBeImage tells whether the parts of a manifest can be layers that servers boot.
func mayBeImage(m glance.Manifest) bool {
	manifest, err := archive.ParseManifest(m.Payload)
	return err == nil && archive.CheckImageManifest(manifest) == nil && len(manifest.Layers) <= archive.MaxEngineLayers
}

func (b *bundling) blob(ctx context.Context, part glance.Part, layer bool) (archive.BundleBlob, error) {
	blob := archive.BundleBlob{Descriptor: part.Descriptor, Content: part.Content}
	named := part.Descriptor.Digest
	switch found, ok := b.there[string(named)]; {
	case part.Content == nil && !ok:
		return blob, fmt.Errorf("%w: %s", glance.ErrBlobsGone, named)
	case part.Content == nil:
		blob.Image, blob.DiffID, blob.Unpacked = found.Image, digest.Digest(found.DiffID), found.Unpacked
	case layer:
		found := b.inspect(ctx, part)
		blob.DiffID, blob.Unpacked = found.DiffID, found.Unpacked
	}
	return blob, ctx.Err()
}

// inspect inspects a small layer, once, as long as the limits of the whole manifest allow it.
func (b *bundling) inspect(ctx context.Context, part glance.Part) archive.InspectedLayer {
	found, done := b.small[part.Descriptor.Digest]
	if done {
		return found
	}
	ctx, cancel := context.WithDeadline(ctx, b.until)
	defer cancel()
	if ctx.Err() == nil {
		found = inspectLayer(ctx, bytes.NewReader(part.Content), b.limits)
	}
	b.small[part.Descriptor.Digest] = found
	return found
}

// bootedOf says what servers boot of a manifest. What differs between the images of an index is left out: the host chooses.
func bootedOf(m glance.Manifest, images []archive.BundleImage) openstack.DockerImage {
	booted := openstack.DockerImage{Digest: string(m.Descriptor.Digest)}
	for _, one := range images {
		booted.UnpackedSize, booted.Layers = max(booted.UnpackedSize, one.Unpacked), max(booted.Layers, len(one.Layers))
	}
	if len(images) == 1 {
		booted.ID, booted.Architecture = images[0].ID, docker.GlanceArchitecture(images[0].Platform.Architecture)
	}
	return booted
}

// layersOf returns all layers of a bundle, and what else is left out of its archive.
func layersOf(bundle archive.Bundle) []openstack.StoredLayer {
	var all []openstack.StoredLayer
	for n, blob := range bundle.Blobs {
		if n > 0 || blob.Image != "" {
			all = append(all, openstack.StoredLayer{Digest: string(blob.Descriptor.Digest), Size: blob.Descriptor.Size, Image: blob.Image})
		}
	}
	for _, one := range bundle.Manifests {
		all = append(all, layersOf(one)...)
	}
	return all
}

// Limits of layers that a registry inspects. What is beyond them, or takes much memory to unpack, is stored without being known as
// a layer. The small ones are inspected while a push waits, and others wait for it: their limits are those of all that a manifest
// is about.
const (
	mostUnpacked      = 100 << 30
	mostUnpackedSmall = 512 << 20
	mostTimeSmall     = 20 * time.Second
	mostRatio         = 30 // who sends little has little unpacked; of layers above 256 MiB
)

func inspectLayer(ctx context.Context, content io.Reader, limits *archive.Limits) archive.InspectedLayer {
	found, err := archive.InspectLayer(ctx, content, limits)
	if err != nil {
		return archive.InspectedLayer{}
	}
	return found
}

// inspectedReader passes a blob on, and inspects it meanwhile.
type inspectedReader struct {
	from   io.Reader
	to     *io.PipeWriter
	ended  chan struct{}
	cancel context.CancelFunc // stops unpacking what was read
	whole  atomic.Bool        // it was read to its end
	found  archive.InspectedLayer
}

// inspectWhileRead inspects until ctx ends. The bytes are passed on even then.
func inspectWhileRead(ctx context.Context, from io.Reader) *inspectedReader {
	content, to := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	r := &inspectedReader{from: from, to: to, ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(r.ended)
		defer cancel()
		r.found = inspectLayer(ctx, content, &archive.Limits{Unpacked: mostUnpacked, Ratio: mostRatio, Frugal: true})
		_, _ = io.Copy(io.Discard, content)
	}()
	return r
}

// Read implements io.Reader.
func (r *inspectedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if n > 0 {
		_, _ = r.to.Write(p[:n]) // all is read there, until the end
	}
	if err != nil {
		if err == io.EOF {
			r.whole.Store(true)
		}
		r.to.CloseWithError(err) // which is io.EOF at the end
	}
	return n, err
}

// end returns what was found. What was not read to its end is no layer, and is unpacked no further.
func (r *inspectedReader) end() archive.InspectedLayer {
	r.to.CloseWithError(io.ErrUnexpectedEOF)
	if !r.whole.Load() {
		r.cancel()
	}
	<-r.ended
	return r.found
}
