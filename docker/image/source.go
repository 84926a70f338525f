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
type Facts struct {
	ID       string // sha256:… of its configuration, which is Docker's id of it
	Digest   string // sha256:… of its manifest, where only that is known before it is read
	Tags     []string
	Platform archive.Platform
	Guessed  bool // Platform, in part, because the configuration does not say it
	Layers   int
	Unpacked int64 // bytes; 0 where nobody knows before it is unpacked
	Size     int64 // bytes that are sent; 0 where nobody knows
}

// Source is an image that can be read.
type Source struct {
	Reference
	Facts      // with an empty ID where nothing is known before it is read
	Once  bool // whether it can be read once only

	checks archive.Options
	strict bool                                             // about the platform
	own    bool                                             // an archive of the user's, whose names are his
	notice func(text string)                                // is told what should be known of the image
	tags   []string                                         // that are kept in the archive
	open   func(ctx context.Context) (io.ReadCloser, error) // a Docker archive, or an OCI layout in a tar
	parts  v1.Image                                         // nil where there is but an archive
}

// Places is how places are reached.
type Places struct {
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
func (p Places) Find(ctx context.Context, r Reference) (*Source, error) {
	source, err := p.find(ctx, r)
	if err != nil {
		return nil, err
	}
	source.strict, source.notice = p.Strict, p.Notice
	if source.ID == "" && source.Digest == "" {
		return source, nil
	}
	return source, source.judge(source.Facts)
}

// judge refuses an image for another platform, where that is minded, and tells what should be known of it.
func (s *Source) judge(found Facts) error {
	if found.Guessed && s.notice != nil {
		s.notice(fmt.Sprintf("image %q does not say for which platform it is; it is taken for one for %s", s.Reference, found.Platform))
	}
	if found.Layers > archive.EngineLayers && s.notice != nil {
		s.notice(fmt.Sprintf("image %q has %d layers, and Docker Engine stores at most %d: no server can boot from it", s.Reference, found.Layers, archive.EngineLayers))
	}
	return s.fits(found.Platform)
}

// judgeRead is judge for what was known only when the image had been read.
func (s *Source) judgeRead(found Facts) error {
	if s.ID != "" || s.Digest != "" {
		return s.fits(found.Platform)
	}
	return s.judge(found)
}

// fits refuses an image for another platform, where that is minded.
func (s *Source) fits(found archive.Platform) error {
	if !s.strict || s.checks.Platform.Matches(found) {
		return nil
	}
	return &docker.Error{
		Op:  "image " + quoted(s.Reference),
		Err: fmt.Errorf("it is for %s, not for %s", found, s.checks.Platform),
		Tip: "--platform " + found.String() + " takes it all the same",
	}
}

func (p Places) find(ctx context.Context, r Reference) (*Source, error) {
	switch r.Transport {
	case Engine:
		return p.findInEngine(ctx, r)
	case Registry:
		return p.findInRegistry(ctx, r)
	case DockerArchive, OCIArchive:
		return p.findFile(r)
	case OCILayout:
		return p.findLayout(ctx, r)
	case Glance:
		found, err := p.Glance(ctx, r.Name)
		found.Reference, found.checks = r, p.checks()
		return &found, err
	}
	return p.findStream(r)
}

// checks are those of an archive that anybody may have made.
func (p Places) checks() archive.Options {
	limits := p.Limits
	return archive.Options{Platform: p.Platform, Layers: &limits}
}

// FromArchive is a source of an archive that is opened by open.
func FromArchive(facts Facts, open func(ctx context.Context) (io.ReadCloser, error)) Source {
	return Source{Facts: facts, open: open}
}

func (p Places) findStream(r Reference) (*Source, error) {
	if file, ok := p.Stdin.(*os.File); ok {
		if term.IsTerminal(int(file.Fd())) {
			return nil, &docker.Error{Op: "read an image from stdin", Err: errors.New("it is a terminal"), Tip: "docker save IMAGE | ndock image push-glance --name NAME -"}
		}
	}
	read := false
	return &Source{Reference: r, Once: true, own: true, checks: p.checks(), open: func(ctx context.Context) (io.ReadCloser, error) {
		if read {
			return nil, errors.New("stdin can be read once only")
		}
		read = true
		return interruptible(ctx, p.Stdin), nil
	}}, nil
}

// interruptible can be given up while somebody waits for the reader, which may give nothing for ever.
func interruptible(ctx context.Context, from io.Reader) io.ReadCloser {
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
	pipe   *io.PipeReader
	done   chan struct{}
	facts  Facts
	source io.Closer

	mu    sync.Mutex    // guards ahead: a destination that answers early may be reading still when the archive is closed
	ahead io.ReadCloser // so that source and destination do not wait for each other by turns
}

// aheadBlocks of aheadSize bytes are how far an archive is read ahead.
const (
	aheadBlocks = 16
	aheadSize   = 256 << 10
)

// Archive begins to read the image. The archive is to be closed.
func (s *Source) Archive(ctx context.Context) (*Archive, error) {
	from, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out, into := io.Pipe()
	ahead, err := readahead.NewReaderSize(out, aheadBlocks, aheadSize)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	a := &Archive{pipe: out, done: make(chan struct{}), source: from, ahead: ahead}
	go func() {
		defer close(a.done)
		found, err := archive.Copy(into, from, s.tags, s.ownChecks())
		if a.facts = factsOf(found); err == nil {
			err = s.judgeRead(a.facts)
		}
		into.CloseWithError(explainArchive(s.Reference, err))
	}()
	return a, nil
}

// ownChecks are those of one reading: limits count.
func (s *Source) ownChecks() archive.Options {
	checks := s.checks
	if checks.Layers != nil {
		limits := *checks.Layers
		checks.Layers = &limits
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
func (a *Archive) Found() Facts {
	<-a.done
	return a.facts
}

func factsOf(found archive.Contents) Facts {
	return Facts{ID: found.ID, Tags: found.Tags, Platform: found.Platform, Guessed: found.Guessed, Unpacked: found.Unpacked, Layers: len(found.Layers)}
}

// explainArchive says of which image something was found out.
func explainArchive(r Reference, err error) error {
	var refused *archive.Error
	if errors.As(err, &refused) {
		return &docker.Error{Op: fmt.Sprintf("check image %q", r), Err: refused}
	}
	return err
}
