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

// storeInRegistry pushes what the registry lacks. If the registry has the same image under this name, and all of it,
// the source is not read.
func (t Transports) storeInRegistry(ctx context.Context, source *Source, to Reference, watch io.Writer) (Stored, error) {
	stored := Stored{Reference: to}
	parsed, err := t.Registry.parse(to.Name)
	if err != nil {
		return stored, err
	}
	writer := registryWriter{at: to, transports: t, to: parsed}
	if digest, ok := writer.findExisting(ctx, source); ok && !t.Force {
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

// hasForeignLayers reports whether the image has layers that may not be passed on, as images of Windows have.
func (s *Source) hasForeignLayers() bool {
	if s.layered == nil {
		return false
	}
	manifest, err := s.layered.Manifest()
	return err == nil && slices.ContainsFunc(manifest.Layers, func(layer v1.Descriptor) bool { return !layer.MediaType.IsDistributable() })
}

// pushWithRetries pushes an image. If the registry or the network fails, it starts again from the beginning.
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

// registryWriter writes an image to a repository of a registry.
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

// findExisting returns the digest of the manifest under this name, and true if it is this image and the registry has
// all of it. An index that lists the image does not count. Errors are ignored, because the push will report them.
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

// isSameImage compares the digests of the manifests, or those of the configurations where the source's manifest is
// not known.
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

// writeLayered pushes only the layers that the registry lacks. Layers in another of its repositories are mounted.
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

// uploadLayers uploads several layers at once.
func (w registryWriter) uploadLayers(ctx context.Context, layers []v1.Layer, watch io.Writer) error {
	pusher, err := remote.NewPusher(w.transports.Registry.remoteOptions(ctx)...)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelLayers)
	watch = &lockedWriter{into: watch}
	for _, layer := range layers {
		group.Go(func() error { return pusher.Upload(ctx, w.to.Context(), watchLayer(layer, watch)) })
	}
	return group.Wait()
}

// watchLayer counts in watch what is read of a layer.
func watchLayer(layer v1.Layer, watch io.Writer) v1.Layer {
	if mountable, ok := layer.(*remote.MountableLayer); ok { // the library checks for this type
		return &remote.MountableLayer{Layer: watchedLayer{mountable.Layer, watch}, Reference: mountable.Reference}
	}
	return watchedLayer{layer, watch}
}

// watchedLayer is a layer that writes to watch what is read of it.
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

// lockedWriter serializes writes.
type lockedWriter struct {
	mu   sync.Mutex
	into io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.into.Write(p)
}

// writeLayer uploads a layer. Once reading of a stream layer has begun, the library must not retry with the rest.
func (w registryWriter) writeLayer(ctx context.Context, layer v1.Layer) error {
	options := w.transports.Registry.remoteOptions(ctx)
	if streamed, ok := layer.(streamLayer); ok {
		options = append(options, remote.WithRetryPredicate(func(err error) bool { return !streamed.opened() && retryable(err, false) }))
	}
	return remote.WriteLayer(w.to.Context(), layer, options...)
}

func (w registryWriter) writeConfig(ctx context.Context, content []byte) error {
	return w.writeLayer(ctx, static.NewLayer(content, types.OCIConfigJSON))
}

// writeManifest checks that the registry has all blobs, puts the manifest under its name, and checks that it is
// there.
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

// verifyManifest checks that the name has the manifest with this digest.
func (w registryWriter) verifyManifest(ctx context.Context, digest v1.Hash) error {
	current, err := remote.Get(w.to, w.transports.Registry.remoteOptions(ctx)...)
	if err != nil {
		return fmt.Errorf("read the image's manifest, which the registry took: %w", err)
	}
	if current.Digest != digest {
		return wrongManifestError{current.Digest, digest}
	}
	return nil
}

// wrongManifestError says that the name has another manifest than the one that was pushed.
type wrongManifestError struct{ current, pushed v1.Hash }

func (e wrongManifestError) Error() string {
	return fmt.Sprintf("the registry has %s under that name, and %s was sent: somebody else has pushed another image there, or the registry has changed it", e.current, e.pushed)
}

// retryWhile repeats request while isTemporary accepts its error, at most Retries times. A registry with
// eventually consistent storage may lack for a moment what it was sent.
func (w registryWriter) retryWhile(ctx context.Context, isTemporary func(error) bool, request func() error) error {
	for attempt := 0; ; attempt++ {
		err := request()
		if err == nil || !isTemporary(err) || attempt >= w.transports.Retries {
			return err
		}
		if err := w.transports.backOff(ctx, attempt, explainRegistry(w.op(), err)); err != nil {
			return err
		}
	}
}

// missingBlobError says that the registry lacks a blob that it accepted.
type missingBlobError struct{ digest v1.Hash }

func (e missingBlobError) Error() string {
	return fmt.Sprintf("the registry does not have blob %s of the image, although it accepted it", e.digest)
}

// isNotVisibleYet reports whether a registry lacks what it accepted, or still has something else there.
func isNotVisibleYet(err error) bool {
	var registryErr *transport.Error
	if errors.As(err, &registryErr) {
		return registryErr.StatusCode == http.StatusNotFound
	}
	return errors.As(err, &missingBlobError{}) || errors.As(err, &wrongManifestError{})
}

// lacksBlob reports whether a registry refused a manifest because it lacks a blob.
func lacksBlob(err error) bool {
	var registryErr *transport.Error
	return errors.As(err, &registryErr) && slices.ContainsFunc(registryErr.Errors, func(one transport.Diagnostic) bool {
		return one.Code == transport.ManifestBlobUnknownErrorCode || one.Code == transport.BlobUnknownErrorCode
	})
}

// verifyBlobs checks that the registry has the configuration and each layer, with the right sizes. The registry
// compared the digests when it accepted them.
func (w registryWriter) verifyBlobs(ctx context.Context, manifest *v1.Manifest) error {
	puller, err := remote.NewPuller(w.transports.Registry.remoteOptions(ctx)...)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelLayers)
	for _, blob := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if blob.MediaType.IsDistributable() { // others are not pushed
			group.Go(func() error { return w.verifyBlob(ctx, puller, blob) })
		}
	}
	return group.Wait()
}

func (w registryWriter) verifyBlob(ctx context.Context, puller *remote.Puller, blob v1.Descriptor) error {
	stored, err := puller.Layer(ctx, w.to.Context().Digest(blob.Digest.String()))
	if err != nil {
		return err
	}
	size, err := stored.Size()
	var registryErr *transport.Error
	switch {
	case errors.As(err, &registryErr) && registryErr.StatusCode == http.StatusNotFound:
		return missingBlobError{blob.Digest}
	case err != nil:
		return err
	case size >= 0 && size != blob.Size: // a negative size is unknown
		return fmt.Errorf("the registry has %d bytes of blob %s, and it has %d: what the registry stores is damaged", size, blob.Digest, blob.Size)
	}
	return nil
}

// manifestBytes implements remote.Taggable.
type manifestBytes struct {
	content []byte
	kind    types.MediaType
}

func (m manifestBytes) RawManifest() ([]byte, error)        { return m.content, nil }
func (m manifestBytes) MediaType() (types.MediaType, error) { return m.kind, nil }
