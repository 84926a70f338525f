package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxConfigSize is more than the configuration of any image has, in bytes.
const maxConfigSize = 8 << 20

// What is looked at of an index: who has pushed it says how much there is. A registry on Glance takes no more of them.
const (
	maxManifests = 256
	maxPlatform  = 128 // characters of each name
)

// created is an annotation of manifests.
const created = "org.opencontainers.image.created"

// Show returns one image.
func (r Registry) Show(ctx context.Context, ref name.Reference) (Image, error) {
	reader, err := r.open()
	if err != nil {
		return Image{}, err
	}
	image, err := reader.image(ctx, ref)
	return image, r.explain("look at "+r.short(ref), err)
}

// Delete removes a tag from its image, or an image with all its tags from a repository by its digest. The blobs stay
// until garbage is collected.
func (r Registry) Delete(ctx context.Context, ref name.Reference) error {
	err := remote.Delete(ref, append(r.Options, remote.WithContext(ctx))...)
	op := "delete " + r.short(ref)
	if status(err) == http.StatusMethodNotAllowed {
		return &Error{Op: op, Err: err, hint: "a registry deletes only if its configuration says storage: {delete: {enabled: true}}, and a cache of another never"}
	}
	return r.explain(op, err)
}

// reader sends the requests of one command to a registry.
type reader struct {
	Registry
	puller *remote.Puller
}

func (r *reader) image(ctx context.Context, ref name.Reference) (Image, error) {
	found, err := r.puller.Get(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	return r.describe(ctx, ref, found)
}

// describe returns the image whose manifest or index was found.
func (r *reader) describe(ctx context.Context, ref name.Reference, found *remote.Descriptor) (Image, error) {
	image := Image{Repository: ref.Context().RepositoryStr(), Digest: found.Digest.String(), MediaType: string(found.MediaType)}
	if tag, ok := ref.(name.Tag); ok {
		image.Tag = tag.TagStr()
	}
	if found.MediaType.IsIndex() {
		return image, r.fillIndex(ctx, ref.Context(), found, &image)
	}
	blobs := map[v1.Hash]int64{}
	err := r.fill(ctx, ref.Context(), found, &image, blobs)
	image.Size = sum(blobs) + int64(len(found.Manifest))
	return image, err
}

// fill reads a manifest and its configuration. What is no image, such as a signature or a chart, has no known
// configuration.
func (r *reader) fill(ctx context.Context, repository name.Repository, found *remote.Descriptor, image *Image, blobs map[v1.Hash]int64) error {
	manifest, err := v1.ParseManifest(bytes.NewReader(found.Manifest))
	if err != nil {
		return &damage{Err: fmt.Errorf("read manifest %s: %w", found.Digest, err), mend: freeing}
	}
	blobs[manifest.Config.Digest] = manifest.Config.Size
	for _, layer := range manifest.Layers {
		blobs[layer.Digest] = layer.Size
		image.Layers = append(image.Layers, Part{Digest: layer.Digest.String(), Size: layer.Size})
	}
	image.Created, _ = time.Parse(time.RFC3339, manifest.Annotations[created]) // or never
	if !manifest.Config.MediaType.IsConfig() {
		return nil
	}
	raw, err := r.blob(ctx, repository.Digest(manifest.Config.Digest.String()))
	if err != nil {
		return err
	}
	var config v1.ConfigFile
	if json.Unmarshal(raw, &config) != nil { // it was pushed so: its digest is right
		return nil
	}
	image.Entrypoint, image.Command = config.Config.Entrypoint, config.Config.Cmd
	if platform := config.Platform(); platform != nil {
		image.Platforms = []string{fmt.Sprintf("%.*s", maxPlatform, platform)}
	}
	if !config.Created.IsZero() {
		image.Created = config.Created.Time
	}
	return nil
}

// fillIndex reads an index and its images, at most maxManifests, some of which the registry may not have.
func (r *reader) fillIndex(ctx context.Context, repository name.Repository, found *remote.Descriptor, image *Image) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(found.Manifest))
	if err != nil {
		return &damage{Err: fmt.Errorf("read index %s: %w", found.Digest, err), mend: freeing}
	}
	blobs := map[v1.Hash]int64{found.Digest: int64(len(found.Manifest))}
	for _, one := range index.Manifests[:min(len(index.Manifests), maxManifests)] {
		part := Part{Digest: one.Digest.String()}
		if one.Platform != nil {
			part.Platform = fmt.Sprintf("%.*s", maxPlatform, one.Platform)
		}
		of, err := r.imageOf(ctx, repository, one, blobs)
		if err != nil && !gone(err) {
			return err
		}
		part.Size = of.Size
		image.Manifests = append(image.Manifests, part)
		image.Platforms = append(image.Platforms, part.Platform)
		if of.Created.After(image.Created) {
			image.Created = of.Created
		}
	}
	image.Size = sum(blobs)
	return nil
}

func (r *reader) imageOf(ctx context.Context, repository name.Repository, one v1.Descriptor, all map[v1.Hash]int64) (Image, error) {
	var image Image
	if !one.MediaType.IsImage() {
		return image, nil
	}
	found, err := r.puller.Get(ctx, repository.Digest(one.Digest.String()))
	if err != nil && strings.HasPrefix(err.Error(), "manifest digest: ") { // the library has no value for it
		err = &damage{Err: fmt.Errorf("manifest %s of the index is damaged", one.Digest), mend: freeing}
	}
	if err != nil {
		return image, err
	}
	blobs := map[v1.Hash]int64{one.Digest: one.Size}
	err = r.fill(ctx, repository, found, &image, blobs)
	image.Size = sum(blobs)
	for digest, size := range blobs {
		all[digest] = size
	}
	return image, err
}

// blob reads a blob, at most maxConfigSize of it, and verifies its digest.
func (r *reader) blob(ctx context.Context, digest name.Digest) ([]byte, error) {
	found, err := r.puller.Layer(ctx, digest)
	if err != nil {
		return nil, err
	}
	body, err := found.Compressed()
	if gone(err) {
		return nil, &damage{Err: fmt.Errorf("the registry does not have configuration %s", digest.DigestStr()), mend: deleting}
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, maxConfigSize))
	if err != nil && strings.HasPrefix(err.Error(), "error verifying ") { // the library has no value for it
		return nil, &damage{Err: fmt.Errorf("read configuration %s: it is damaged", digest.DigestStr()), mend: freeing}
	}
	return content, err
}

func sum(blobs map[v1.Hash]int64) (all int64) {
	for _, size := range blobs {
		all += size
	}
	return all
}
