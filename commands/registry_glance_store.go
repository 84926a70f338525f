package commands

import (
	"bytes"
	"context"
	"fmt"
	"io"

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
	bundle, err := (&bundling{there: there, small: map[digest.Digest]archive.InspectedLayer{}}).bundle(m)
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
}

func (b *bundling) bundle(m glance.Manifest) (archive.Bundle, error) {
	made := archive.Bundle{Descriptor: m.Descriptor, Manifest: m.Payload}
	for n, part := range m.Parts {
		blob, err := b.blob(part, n > 0)
		if err != nil {
			return made, err
		}
		made.Blobs = append(made.Blobs, blob)
	}
	for _, one := range m.Manifests {
		child, err := b.bundle(one)
		if err != nil {
			return made, err
		}
		made.Manifests = append(made.Manifests, child)
	}
	return made, nil
}

func (b *bundling) blob(part glance.Part, layer bool) (archive.BundleBlob, error) {
	blob := archive.BundleBlob{Descriptor: part.Descriptor, Content: part.Content}
	named := part.Descriptor.Digest
	switch found, ok := b.there[string(named)]; {
	case part.Content == nil && !ok:
		return blob, fmt.Errorf("%w: %s", glance.ErrBlobsGone, named)
	case part.Content == nil:
		blob.Image, blob.DiffID, blob.Unpacked = found.Image, digest.Digest(found.DiffID), found.Unpacked
	case layer:
		if _, done := b.small[named]; !done {
			b.small[named] = inspectLayer(bytes.NewReader(part.Content), mostUnpackedSmall)
		}
		blob.DiffID, blob.Unpacked = b.small[named].DiffID, b.small[named].Unpacked
	}
	return blob, nil
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

// Limits of layers that a registry inspects, in bytes. What is beyond them is stored without being known as a layer.
const (
	mostUnpacked      = 100 << 30
	mostUnpackedSmall = 128 << 20
	mostRatio         = 200
)

func inspectLayer(content io.Reader, most int64) archive.InspectedLayer {
	found, err := archive.InspectLayer(content, archive.Limits{Unpacked: most, Ratio: mostRatio})
	if err != nil {
		return archive.InspectedLayer{}
	}
	return found
}

// inspectedReader passes a blob on, and inspects it meanwhile.
type inspectedReader struct {
	from  io.Reader
	to    *io.PipeWriter
	ended chan struct{}
	found archive.InspectedLayer
}

func inspectWhileRead(from io.Reader) *inspectedReader {
	content, to := io.Pipe()
	r := &inspectedReader{from: from, to: to, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.found = inspectLayer(content, mostUnpacked)
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
		r.to.CloseWithError(err) // which is io.EOF at the end
	}
	return n, err
}

// end returns what was found. What was not read to its end is no layer.
func (r *inspectedReader) end() archive.InspectedLayer {
	r.to.CloseWithError(io.ErrUnexpectedEOF)
	<-r.ended
	return r.found
}
