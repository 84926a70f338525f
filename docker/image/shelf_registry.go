package image

import (
	"context"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// storeInRegistry sends what the registry has not. An image that has that name there already is known by its
// configuration, and not even read.
func (p Places) storeInRegistry(ctx context.Context, source *Source, to Reference, watch io.Writer) (Stored, error) {
	stored := Stored{Reference: to}
	parsed, err := p.Registry.parse(to.Name)
	if err != nil {
		return stored, err
	}
	if digest, there := p.inRegistry(ctx, source, parsed); there {
		stored.Digest, stored.Existed = digest, true
		return stored, nil
	}
	var digest v1.Hash
	if source.parts != nil {
		digest, err = p.pushParts(ctx, source, parsed, watch)
	} else {
		digest, err = source.takeApart(ctx, registryShelf{p.Registry, parsed}, watch)
	}
	if err != nil {
		return stored, explainRegistry("push image "+quoted(to), err)
	}
	stored.Digest = digest.String()
	return stored, nil
}

// inRegistry tells whether that name is that image's already. Whatever goes wrong, pushing will say.
func (p Places) inRegistry(ctx context.Context, source *Source, at name.Reference) (string, bool) {
	if source.ID == "" && source.Digest == "" {
		return "", false
	}
	present, err := remote.Image(at, p.Registry.with(ctx)...)
	if err != nil {
		return "", false
	}
	digest, err := present.Digest()
	if err != nil || source.Digest != "" {
		return source.Digest, err == nil && digest.String() == source.Digest
	}
	id, err := present.ConfigName()
	return digest.String(), err == nil && id.String() == source.ID
}

// pushParts sends only the layers that are not there, and has those mounted that are in another repository.
func (p Places) pushParts(ctx context.Context, source *Source, to name.Reference, watch io.Writer) (v1.Hash, error) {
	updates := make(chan v1.Update, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		follow(updates, watch)
	}()
	err := remote.Write(to, source.parts, p.Registry.with(ctx, remote.WithProgress(updates))...)
	<-done
	if err != nil {
		return v1.Hash{}, err
	}
	return source.parts.Digest()
}

// follow makes bytes written of the library's account of the whole.
func follow(updates <-chan v1.Update, watch io.Writer) {
	var told int64
	zeroes := make([]byte, 64<<10)
	for update := range updates {
		for told < update.Complete {
			n := min(update.Complete-told, int64(len(zeroes)))
			_, _ = watch.Write(zeroes[:n]) // a bar
			told += n
		}
	}
}

// registryShelf is a repository.
type registryShelf struct {
	registry RegistryOptions
	to       name.Reference
}

func (s registryShelf) layer(ctx context.Context, layer v1.Layer) error {
	return remote.WriteLayer(s.to.Context(), layer, s.registry.with(ctx)...)
}

func (s registryShelf) config(ctx context.Context, content []byte) error {
	return s.layer(ctx, static.NewLayer(content, types.OCIConfigJSON))
}

func (s registryShelf) manifest(ctx context.Context, content []byte, described v1.Descriptor) error {
	return remote.Put(s.to, manifestBytes{content, described.MediaType}, s.registry.with(ctx)...)
}

// manifestBytes is what the library takes for a manifest.
type manifestBytes struct {
	content []byte
	kind    types.MediaType
}

func (m manifestBytes) RawManifest() ([]byte, error)        { return m.content, nil }
func (m manifestBytes) MediaType() (types.MediaType, error) { return m.kind, nil }
