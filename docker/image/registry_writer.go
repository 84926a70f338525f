package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// storeInRegistry sends what the registry has not. An image that has that name there already, and is whole, is not even
// read.
func (t Transports) storeInRegistry(ctx context.Context, source *Source, to Reference, watch io.Writer) (Stored, error) {
	stored := Stored{Reference: to}
	parsed, err := t.Registry.parse(to.Name)
	if err != nil {
		return stored, err
	}
	writer := registryWriter{at: to, transports: t, to: parsed}
	if digest, there := writer.findExisting(ctx, source); there && !t.Force {
		stored.Digest, stored.Existed = digest, true
		return stored, nil
	}
	digest, err := t.pushWithRetries(ctx, source, writer, watch)
	if err != nil {
		explained := explainRegistry(writer.op(), err)
		switch {
		case source.ReadOnce && retryable(err, true):
			explained.Tip = readOnceTip
		case lacksBlob(err) && source.hasForeignLayers():
			explained.Tip = "layers of it are not to be passed on (images of Windows have such), and the registry takes no image without its layers"
		}
		return stored, explained
	}
	stored.Digest = digest.String()
	return stored, nil
}

// keepsElsewhere tells whether layers of the image are not sent, because its maker has them elsewhere.
func (s *Source) hasForeignLayers() bool {
	if s.layered == nil {
		return false
	}
	manifest, err := s.layered.Manifest()
	return err == nil && slices.ContainsFunc(manifest.Layers, func(layer v1.Descriptor) bool { return !layer.MediaType.IsDistributable() })
}

// push sends an image, and all of it anew where the registry or the network failed.
func (t Transports) pushWithRetries(ctx context.Context, source *Source, writer registryWriter, watch io.Writer) (v1.Hash, error) {
	for attempt := 0; ; attempt++ {
		digest, err := writer.push(ctx, source, watch)
		if err == nil || source.ReadOnce || attempt >= t.Retries || ctx.Err() != nil || !retryable(err, attempt > 0) {
			return digest, err
		}
		if err := t.backOff(ctx, attempt, explainRegistry(writer.op(), err)); err != nil {
			return v1.Hash{}, err
		}
	}
}

// registryShelf is a repository.
type registryWriter struct {
	at         Reference
	transports Transports
	to         name.Reference
}

func (w registryWriter) op() string { return fmt.Sprintf("push image %q", w.at) }

func (w registryWriter) push(ctx context.Context, source *Source, watch io.Writer) (v1.Hash, error) {
	if source.layered != nil {
		return w.writeLayered(ctx, source, watch)
	}
	return source.pushLayers(ctx, w, watch)
}

// has tells whether that name is that image's already, and not that of an index which lists it, and whether the registry
// has all of it. Whatever goes wrong, pushing will say.
func (w registryWriter) findExisting(ctx context.Context, source *Source) (string, bool) {
	named, err := remote.Get(w.to, w.transports.Registry.remoteOptions(ctx)...)
	if err != nil || !named.MediaType.IsImage() {
		return "", false
	}
	present, err := named.Image()
	if err != nil || !source.isSameImage(present) {
		return "", false
	}
	manifest, err := present.Manifest()
	if err != nil || w.verifyBlobs(ctx, manifest) != nil {
		return "", false
	}
	return named.Digest.String(), true
}

// is tells whether an image is this one: by the digest of its manifest where that is known, and else by its
// configuration.
func (s *Source) isSameImage(other v1.Image) bool {
	digest, err := other.Digest()
	if err != nil {
		return false
	}
	if s.layered != nil {
		own, err := s.layered.Digest()
		return err == nil && own == digest
	}
	if s.Digest != "" {
		return s.Digest == digest.String()
	}
	manifest, err := other.Manifest()
	return err == nil && s.ID == manifest.Config.Digest.String()
}

// parts sends only the layers that are not there, and has those mounted that are in another repository.
func (w registryWriter) writeLayered(ctx context.Context, source *Source, watch io.Writer) (v1.Hash, error) {
	layers, err := source.layered.Layers()
	if err != nil {
		return v1.Hash{}, err
	}
	config, err := partial.ConfigLayer(source.layered)
	if err != nil {
		return v1.Hash{}, err
	}
	content, described, err := source.layeredManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	if err := w.uploadLayers(ctx, append(layers, config), watch); err != nil {
		return v1.Hash{}, err
	}
	return described.Digest, w.writeManifest(ctx, content, described)
}

// layers sends several at once.
func (w registryWriter) uploadLayers(ctx context.Context, layers []v1.Layer, watch io.Writer) error {
	pusher, err := remote.NewPusher(w.transports.Registry.remoteOptions(ctx)...)
	if err != nil {
		return err
	}
	sending, ctx := errgroup.WithContext(ctx)
	sending.SetLimit(maxParallelLayers)
	watch = &lockedWriter{into: watch}
	for _, layer := range layers {
		sending.Go(func() error { return pusher.Upload(ctx, w.to.Context(), watchLayer(layer, watch)) })
	}
	return sending.Wait()
}

// watchLayer counts what is read of a layer.
func watchLayer(layer v1.Layer, watch io.Writer) v1.Layer {
	if mountable, ok := layer.(*remote.MountableLayer); ok { // which the library looks for
		return &remote.MountableLayer{Layer: watchedLayer{mountable.Layer, watch}, Reference: mountable.Reference}
	}
	return watchedLayer{layer, watch}
}

type watchedLayer struct {
	v1.Layer
	watch io.Writer
}

func (l watchedLayer) Compressed() (io.ReadCloser, error) {
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(content, l.watch), content}, nil
}

// lockedWriter takes turns.
type lockedWriter struct {
	mu   sync.Mutex
	into io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.into.Write(p)
}

// layer sends one layer. When a part of a layer that flows by was sent, the library must not try again with the rest.
func (w registryWriter) writeLayer(ctx context.Context, layer v1.Layer) error {
	options := w.transports.Registry.remoteOptions(ctx)
	if flowing, ok := layer.(streamLayer); ok {
		options = append(options, remote.WithRetryPredicate(func(err error) bool { return !flowing.opened() && retryable(err, false) }))
	}
	return remote.WriteLayer(w.to.Context(), layer, options...)
}

func (w registryWriter) writeConfig(ctx context.Context, content []byte) error {
	return w.writeLayer(ctx, static.NewLayer(content, types.OCIConfigJSON))
}

// manifest puts an image under its name, if the registry has all of it, and sees whether it stands there.
func (w registryWriter) writeManifest(ctx context.Context, content []byte, described v1.Descriptor) error {
	parsed, err := v1.ParseManifest(bytes.NewReader(content))
	if err != nil {
		return err
	}
	if err := w.retryWhile(ctx, isNotVisibleYet, func() error { return w.verifyBlobs(ctx, parsed) }); err != nil {
		return err
	}
	if err := w.retryWhile(ctx, lacksBlob, func() error {
		return remote.Put(w.to, manifestBytes{content, described.MediaType}, w.transports.Registry.remoteOptions(ctx)...)
	}); err != nil {
		return err
	}
	return w.retryWhile(ctx, isNotVisibleYet, func() error { return w.verifyManifest(ctx, described.Digest) })
}

// stands sees whether the image stands under its name.
func (w registryWriter) verifyManifest(ctx context.Context, digest v1.Hash) error {
	there, err := remote.Get(w.to, w.transports.Registry.remoteOptions(ctx)...)
	if err != nil {
		return fmt.Errorf("read the image's manifest, which the registry took: %w", err)
	}
	if there.Digest != digest {
		return wrongManifestError{there.Digest, digest}
	}
	return nil
}

// otherImageError is of a name under which another image stands than was sent.
type wrongManifestError struct{ there, sent v1.Hash }

func (e wrongManifestError) Error() string {
	return fmt.Sprintf("the registry has %s under that name, and %s was sent: somebody else has pushed another image there, or the registry has changed it", e.there, e.sent)
}

// again asks until the registry has what it was sent, as long as it only has it not yet. One whose storage is consistent only
// in the end may not have it at once.
func (w registryWriter) retryWhile(ctx context.Context, notYet func(error) bool, ask func() error) error {
	for attempt := 0; ; attempt++ {
		err := ask()
		if err == nil || !notYet(err) || attempt >= w.transports.Retries {
			return err
		}
		if err := w.transports.backOff(ctx, attempt, explainRegistry(w.op(), err)); err != nil {
			return err
		}
	}
}

// noBlobError is of a blob that the registry took, and does not have.
type missingBlobError struct{ digest v1.Hash }

func (e missingBlobError) Error() string {
	return fmt.Sprintf("the registry does not have blob %s of the image, which it should have by now", e.digest)
}

// isLate tells whether a registry that was asked for what it took does not have it, or something else.
func isNotVisibleYet(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode == http.StatusNotFound
	}
	return errors.As(err, &missingBlobError{}) || errors.As(err, &wrongManifestError{})
}

// lacksBlob tells whether a registry refused a manifest because it does not have what that names.
func lacksBlob(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && slices.ContainsFunc(answer.Errors, func(one transport.Diagnostic) bool {
		return one.Code == transport.ManifestBlobUnknownErrorCode || one.Code == transport.BlobUnknownErrorCode
	})
}

// confirm sees whether the registry has the configuration and each layer of an image, with the sizes that they have. The
// registry has compared their digests when it took them.
func (w registryWriter) verifyBlobs(ctx context.Context, manifest *v1.Manifest) error {
	puller, err := remote.NewPuller(w.transports.Registry.remoteOptions(ctx)...)
	if err != nil {
		return err
	}
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(maxParallelLayers)
	for _, blob := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if blob.MediaType.IsDistributable() { // others are not sent
			asking.Go(func() error { return w.verifyBlob(ctx, puller, blob) })
		}
	}
	return asking.Wait()
}

func (w registryWriter) verifyBlob(ctx context.Context, puller *remote.Puller, blob v1.Descriptor) error {
	there, err := puller.Layer(ctx, w.to.Context().Digest(blob.Digest.String()))
	if err != nil {
		return err
	}
	size, err := there.Size()
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return missingBlobError{blob.Digest}
	case err != nil:
		return err
	case size >= 0 && size != blob.Size: // below zero, it does not tell
		return fmt.Errorf("the registry has %d bytes of blob %s, and it has %d: what the registry stores is damaged", size, blob.Digest, blob.Size)
	}
	return nil
}

// manifestBytes is what the library takes for a manifest.
type manifestBytes struct {
	content []byte
	kind    types.MediaType
}

func (m manifestBytes) RawManifest() ([]byte, error)        { return m.content, nil }
func (m manifestBytes) MediaType() (types.MediaType, error) { return m.kind, nil }
