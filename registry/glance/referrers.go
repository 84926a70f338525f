package glance

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/manifest/ocischema"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// How much is told of what is about one manifest.
const (
	maxReferrers      = 500
	maxReferrersBytes = MaxManifest - 1024
)

// Request is what one HTTP request has to do with subjects of manifests, which distribution knows nothing of. It travels in the
// request's context.
type Request struct {
	Referrers    bool          // the manifest that is asked for is the list of those that are about it
	ArtifactType string        // which of them; "" for all
	Subject      digest.Digest // of the manifest that was put
}

type requestKey struct{}

// Context returns ctx with the request in it.
func (r *Request) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

func requestOf(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// referrers returns an index of the manifests that are about one. There is one for each digest, be it empty.
func (m *manifests) referrers(ctx context.Context, subject digest.Digest, kind string) (distribution.Manifest, error) {
	images, err := m.project.Referrers(ctx, m.short, subject)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, m.explain(ctx, "find what is about a manifest", err)
	}
	all, seen, bytes := []v1.Descriptor{}, map[digest.Digest]bool{}, 0
	for _, image := range images[:min(len(images), maxReferrers)] {
		if seen[image.Digest] || !known256(image.Digest) {
			continue
		}
		seen[image.Digest] = true
		payload, err := m.manifestOf(ctx, image, image.Digest)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, m.explain(ctx, "read what is about a manifest", err)
		}
		one, about := describe(payload)
		if about != subject || kind != "" && one.ArtifactType != kind {
			continue
		}
		if bytes += sizeOf(one); bytes > maxReferrersBytes {
			break
		}
		all = append(all, one)
	}
	return ocischema.FromDescriptors(all, nil)
}

// describe returns the descriptor of a manifest, and its subject.
func describe(payload []byte) (v1.Descriptor, digest.Digest) {
	var said struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Config       v1.Descriptor     `json:"config"`
		Annotations  map[string]string `json:"annotations"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return v1.Descriptor{}, ""
	}
	if said.ArtifactType == "" {
		said.ArtifactType = said.Config.MediaType
	}
	if said.MediaType == "" {
		said.MediaType = v1.MediaTypeImageManifest
		if said.Config.Digest == "" {
			said.MediaType = v1.MediaTypeImageIndex
		}
	}
	return v1.Descriptor{
		MediaType: said.MediaType, Digest: digest.FromBytes(payload), Size: int64(len(payload)),
		ArtifactType: said.ArtifactType, Annotations: said.Annotations,
	}, subjectOf(payload)
}

// sizeOf returns how much a descriptor takes in an index.
func sizeOf(one v1.Descriptor) int {
	text, err := json.MarshalIndent(one, "      ", "   ")
	if err != nil {
		return maxReferrersBytes
	}
	return len(text) + 8
}
