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
	"golang.org/x/term"

	"ndock/docker"
	"ndock/docker/archive"
)

// Facts are what is known of an image.
type Metadata struct {
	ID              string // sha256:… of its configuration, which is Docker's id of it
	Digest          string // sha256:… of its manifest, where only that is known before it is read
	Tags            []string
	Platform        archive.Platform
	PlatformAssumed bool // Platform, in part, because the configuration does not say it
	Layers          int
	Unpacked        int64 // bytes; 0 where nobody knows before it is unpacked
	Size            int64 // bytes that are sent; 0 where nobody knows
}

// Source is an image that can be read.
type Source struct {
	Reference
	Metadata      // with an empty ID where nothing is known before it is read
	ReadOnce bool // whether it can be read once only

	options        archive.Options
	strictPlatform bool                                             // about the platform
	trustTags      bool                                             // an archive of the user's, whose names are his
	notice         func(text string)                                // is told what should be known of the image
	tags           []string                                         // that are kept in the archive
	open           func(ctx context.Context) (io.ReadCloser, error) // a Docker archive, or an OCI layout in a tar
	layered        v1.Image                                         // nil where there is but an archive
}

// Places is how places are reached.
type Transports struct {
	Engine   func() (EngineAPI, error) // opened when it is needed
	Registry RegistryOptions
	Stdin    io.Reader
	Stdout   io.Writer
	Platform archive.Platform // that is wanted where there are several
	Strict   bool             // refuse an image for another platform
	Limits   archive.Limits   // what an image may unpack to
	Glance   func(ctx context.Context, name string) (Source, error)

	Notice func(text string) // is told what should be known of an image that is taken all the same; may be nil

	Force    bool                                 // send an image to a registry though it is there
	Retries  int                                  // attempts after the first, where a registry or the network failed
	Retrying func(err error, pause time.Duration) // is told why an attempt failed, and how long it is until the next; may be nil
}

// Find looks an image up. What it costs is a description; the bytes are read later.
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

// judge refuses an image for another platform, where that is minded, and tells what should be known of it.
func (s *Source) checkMetadata(found Metadata) error {
	if found.PlatformAssumed && s.notice != nil {
		s.notice(fmt.Sprintf("image %q does not say for which platform it is; it is taken for one for %s", s.Reference, found.Platform))
	}
	if found.Layers > archive.MaxEngineLayers && s.notice != nil {
		s.notice(fmt.Sprintf("image %q has %d layers, and Docker Engine stores at most %d: no server can boot from it", s.Reference, found.Layers, archive.MaxEngineLayers))
	}
	return s.checkPlatform(found.Platform)
}

// judgeRead is judge for what was known only when the image had been read.
func (s *Source) checkAfterRead(found Metadata) error {
	if s.ID != "" || s.Digest != "" {
		return s.checkPlatform(found.Platform)
	}
	return s.checkMetadata(found)
}

// fits refuses an image for another platform, where that is minded.
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

// checks are those of an archive that anybody may have made.
func (t Transports) archiveOptions() archive.Options {
	limits := t.Limits
	return archive.Options{Platform: t.Platform, Limits: &limits}
}

// FromArchive is a source of an archive that is opened by open.
func FromArchive(metadata Metadata, open func(ctx context.Context) (io.ReadCloser, error)) Source {
	return Source{Metadata: metadata, open: open}
}

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

// interruptible can be given up while somebody waits for the reader, which may give nothing for ever.
func cancellableReader(ctx context.Context, from io.Reader) io.ReadCloser {
	out, into := io.Pipe()
	context.AfterFunc(ctx, func() { into.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(into, from)
		into.CloseWithError(err)
	}()
	return out
}

// Archive is an image on its way, as a Docker archive. It is checked while it is read: what is wrong with it is the
// error that reading ends in.
type Archive struct {
	pipe     *io.PipeReader
	done     chan struct{}
	metadata Metadata
	source   io.Closer

	mu    sync.Mutex    // guards ahead: a destination that answers early may be reading still when the archive is closed
	ahead io.ReadCloser // so that source and destination do not wait for each other by turns
}

// aheadBlocks of aheadSize bytes are how far an archive is read ahead.
const (
	readAheadBlocks = 16
	readAheadSize   = 256 << 10
)

// Archive begins to read the image. The archive is to be closed.
func (s *Source) Archive(ctx context.Context) (*Archive, error) {
	from, err := s.openStream(ctx)
	if err != nil {
		return nil, err
	}
	out, into := io.Pipe()
	ahead, err := readahead.NewReaderSize(out, readAheadBlocks, readAheadSize)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	a := &Archive{pipe: out, done: make(chan struct{}), source: from, ahead: ahead}
	go func() {
		defer close(a.done)
		found, err := archive.Copy(into, from, s.tags, s.copyOptions())
		if a.metadata = metadataOf(found); err == nil {
			err = s.checkAfterRead(a.metadata)
		}
		into.CloseWithError(explainArchive(s.Reference, err))
	}()
	return a, nil
}

// ownChecks are those of one reading: limits count.
func (s *Source) copyOptions() archive.Options {
	checks := s.options
	if checks.Limits != nil {
		limits := *checks.Limits
		checks.Limits = &limits
	}
	return checks
}

func (a *Archive) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ahead.Read(p)
}

// Close ends the reading, wherever it is.
func (a *Archive) Close() error {
	a.pipe.Close()
	err := a.source.Close()
	<-a.done
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(err, a.ahead.Close())
}

// Found is what the image turned out to be, once it has been read to its end.
func (a *Archive) Metadata() Metadata {
	<-a.done
	return a.metadata
}

func metadataOf(found archive.Contents) Metadata {
	return Metadata{ID: found.ID, Tags: found.Tags, Platform: found.Platform, PlatformAssumed: found.PlatformAssumed, Unpacked: found.Unpacked, Layers: len(found.Layers)}
}

// explainArchive says of which image something was found out.
func explainArchive(r Reference, err error) error {
	var refused *archive.Error
	if errors.As(err, &refused) {
		return &docker.Error{Op: fmt.Sprintf("check image %q", r), Err: refused}
	}
	return err
}
