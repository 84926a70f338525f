package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/readahead"
	"github.com/opencontainers/go-digest"
	"golang.org/x/term"

	"ndock/docker"
	"ndock/docker/archive"
)

// Metadata is what is known of an image.
type Metadata struct {
	ID              string // sha256:… of the configuration, which is Docker's image id
	Digest          string // sha256:… of the manifest, if only that is known before reading
	Tags            []string
	Platform        archive.Platform
	PlatformAssumed bool // part of Platform is not from the configuration, which does not say it
	Layers          int
	Unpacked        int64 // in bytes; 0 if unknown before unpacking
	Size            int64 // bytes to send; 0 if unknown
}

// Source is an image that can be read.
type Source struct {
	Reference
	Metadata      // ID is empty if nothing is known before reading
	ReadOnce bool // it cannot be read again

	options        archive.Options
	strictPlatform bool                                             // refuse another platform
	trustTags      bool                                             // an archive of the user's, so its tags may be kept
	notice         func(text string)                                // receives warnings about the image; may be nil
	tags           []string                                         // to keep in the archive
	open           func(ctx context.Context) (io.ReadCloser, error) // opens a Docker archive, or an OCI layout in a tar
	openLeftOut    LayerOpener                                      // nil if such an archive leaves out no layers
	layered        v1.Image                                         // nil if there is only an archive
	diffIDs        []digest.Digest                                  // of the layers, if they are known before reading
}

// Transports says how to reach each kind of place.
type Transports struct {
	Engine   func() (EngineAPI, error) // called when it is needed
	Registry RegistryOptions
	Stdin    io.Reader
	Stdout   io.Writer
	Platform archive.Platform // selects among several
	Strict   bool             // refuse an image for another platform
	Limits   archive.Limits   // on what an image may unpack to
	Glance   func(ctx context.Context, name string) (Source, error)

	Notice func(text string) // receives warnings about an image that is used all the same; may be nil

	Force    bool                                 // push an image even if the registry has it
	Retries  int                                  // after the first attempt, if the registry or the network failed
	Retrying func(err error, pause time.Duration) // receives the error of an attempt and the pause before the next; may be nil
}

// Find looks up an image. It reads only metadata; the image is read later. It returns a *docker.Error with a tip
// where one is known.
func (t Transports) Find(ctx context.Context, r Reference) (*Source, error) {
	source, err := t.find(ctx, r)
	if err != nil {
		return nil, err
	}
	source.strictPlatform, source.notice = t.Strict, t.Notice
	if source.ID == "" && source.Digest == "" {
		return source, nil
	}
	return source, source.checkMetadata(source.Metadata)
}

// checkMetadata warns of a missing platform and of too many layers. With strictPlatform it refuses an image for
// another platform.
func (s *Source) checkMetadata(found Metadata) error {
	if found.PlatformAssumed && s.notice != nil {
		s.notice(fmt.Sprintf("image %q states no platform; ndock assumes %s", s.Reference, found.Platform))
	}
	if found.Layers > archive.MaxEngineLayers && s.notice != nil {
		s.notice(fmt.Sprintf("image %q has %d layers, and Docker Engine stores at most %d: no server can boot from it", s.Reference, found.Layers, archive.MaxEngineLayers))
	}
	return s.checkPlatform(found.Platform)
}

// checkAfterRead checks the metadata that were not known before reading.
func (s *Source) checkAfterRead(found Metadata) error {
	if s.ID != "" || s.Digest != "" {
		return s.checkPlatform(found.Platform)
	}
	return s.checkMetadata(found)
}

// checkPlatform refuses an image for another platform, if strictPlatform is set.
func (s *Source) checkPlatform(found archive.Platform) error {
	if !s.strictPlatform || s.options.Platform.Matches(found) {
		return nil
	}
	return &docker.Error{
		Op:  "image " + quoted(s.Reference),
		Err: fmt.Errorf("it is for %s, not for %s", found, s.options.Platform),
		Tip: "--platform " + found.String() + " takes it all the same",
	}
}

func (t Transports) find(ctx context.Context, r Reference) (*Source, error) {
	switch r.Transport {
	case Engine:
		return t.findInEngine(ctx, r)
	case Registry:
		return t.findInRegistry(ctx, r)
	case DockerArchive, OCIArchive:
		return t.findFile(r)
	case OCILayout:
		return t.findLayout(ctx, r)
	case Glance:
		found, err := t.Glance(ctx, r.Name)
		found.Reference, found.options = r, t.archiveOptions()
		return &found, err
	}
	return t.findStream(r)
}

// archiveOptions returns the checks for an archive from anybody.
func (t Transports) archiveOptions() archive.Options {
	limits := t.Limits
	return archive.Options{Platform: t.Platform, Limits: &limits}
}

// LayerOpener opens a layer that an archive leaves out.
type LayerOpener func(ctx context.Context, layer archive.LeftOut) (io.ReadCloser, error)

// FromArchive returns a source for an archive that open opens, and for the layers that it leaves out.
func FromArchive(metadata Metadata, open func(ctx context.Context) (io.ReadCloser, error), layers LayerOpener) Source {
	return Source{Metadata: metadata, open: open, openLeftOut: layers}
}

// leftOutLayers is the archive.LayerSource of one reading.
type leftOutLayers struct {
	ctx  context.Context
	open LayerOpener
}

// Has implements archive.LayerSource: a copy is whole.
func (leftOutLayers) Has(archive.LeftOut) (archive.LayerSize, bool) {
	return archive.LayerSize{}, false
}

// Open implements archive.LayerSource.
func (l leftOutLayers) Open(layer archive.LeftOut) (io.ReadCloser, error) {
	return l.open(l.ctx, layer)
}

// findStream returns stdin as a source, which can be read once. It refuses a terminal.
func (t Transports) findStream(r Reference) (*Source, error) {
	if file, ok := t.Stdin.(*os.File); ok {
		if term.IsTerminal(int(file.Fd())) {
			return nil, &docker.Error{Op: "read an image from stdin", Err: errors.New("it is a terminal"), Tip: "docker save IMAGE | ndock image push-glance --name NAME -"}
		}
	}
	read := false
	return &Source{Reference: r, ReadOnce: true, trustTags: true, options: t.archiveOptions(), open: func(ctx context.Context) (io.ReadCloser, error) {
		if read {
			return nil, errors.New("stdin can be read once only")
		}
		read = true
		return cancellableReader(ctx, t.Stdin), nil
	}}, nil
}

// cancellableReader returns a reader that fails when the context ends, even while from blocks.
func cancellableReader(ctx context.Context, from io.Reader) io.ReadCloser {
	out, into := io.Pipe()
	context.AfterFunc(ctx, func() { into.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(into, from)
		into.CloseWithError(err)
	}()
	return out
}

// Archive is a Docker archive of an image, checked while it is read. An invalid image ends the reading with an error.
type Archive struct {
	pipe     *io.PipeReader
	done     chan struct{}
	metadata Metadata
	source   io.Closer
	known    *Metadata // before it is read; nil where it is not
	layers   []archive.StoredLayer

	mu    sync.Mutex    // guards ahead: a destination that answers early may still be reading when the archive is closed
	ahead io.ReadCloser // reads ahead, so that source and destination do not wait for each other in turn
}

// An archive is read ahead by readAheadBlocks blocks of readAheadSize bytes.
const (
	readAheadBlocks = 16
	readAheadSize   = 256 << 10
)

// Archive starts reading the image. The caller closes the archive.
func (s *Source) Archive(ctx context.Context) (*Archive, error) {
	from, err := s.openStream(ctx)
	if err != nil {
		return nil, err
	}
	return s.copyArchive(ctx, from)
}

// copyArchive returns a checked copy of an archive, which it closes in the end.
func (s *Source) copyArchive(ctx context.Context, from io.ReadCloser) (*Archive, error) {
	return newArchive(from, func(into io.Writer) (Metadata, error) {
		found, err := archive.Copy(into, from, s.tags, s.copyOptions(ctx))
		metadata := metadataOf(found)
		if err == nil {
			err = s.checkAfterRead(metadata)
		}
		return metadata, explainArchive(s.Reference, err)
	})
}

// newArchive returns the archive that write writes.
func newArchive(source io.Closer, write func(into io.Writer) (Metadata, error)) (*Archive, error) {
	out, into := io.Pipe()
	ahead, err := readahead.NewReaderSize(out, readAheadBlocks, readAheadSize)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	a := &Archive{pipe: out, done: make(chan struct{}), source: source, ahead: ahead}
	go func() {
		defer close(a.done)
		var err error
		a.metadata, err = write(into)
		into.CloseWithError(err)
	}()
	return a, nil
}

// copyOptions returns options for one reading, because limits keep a count.
func (s *Source) copyOptions(ctx context.Context) archive.Options {
	options := s.options
	if s.openLeftOut != nil {
		options.Layers = leftOutLayers{ctx, s.openLeftOut}
	}
	if options.Limits != nil {
		limits := *options.Limits
		options.Limits = &limits
	}
	return options
}

func (a *Archive) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ahead.Read(p)
}

// Close stops the reading.
func (a *Archive) Close() error {
	a.pipe.Close()
	err := a.source.Close()
	<-a.done
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(err, a.ahead.Close())
}

// Layers returns the image's layers, lowest first, where some are left out of the archive: those that have an Image.
func (a *Archive) Layers() []archive.StoredLayer { return a.layers }

// Metadata returns the metadata of the image. It waits until the image has been read to its end, but where Layers are known.
func (a *Archive) Metadata() Metadata {
	if a.known != nil {
		return *a.known
	}
	<-a.done
	return a.metadata
}

func metadataOf(found archive.Contents) Metadata {
	return Metadata{ID: found.ID, Tags: found.Tags, Platform: found.Platform, PlatformAssumed: found.PlatformAssumed, Unpacked: found.Unpacked, Layers: len(found.Layers)}
}

// explainArchive adds the image's name to an *archive.Error.
func explainArchive(r Reference, err error) error {
	var invalid *archive.Error
	if errors.As(err, &invalid) {
		return &docker.Error{Op: fmt.Sprintf("check image %q", r), Err: invalid}
	}
	return err
}
