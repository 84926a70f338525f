// Package enginetest is a Docker Engine in memory, for tests.
package enginetest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"

	"ndock/docker/engine"
)

// The ids of the server, of the image in Glance, of that image in Docker where it was there before, and of what loading an
// archive gives, as does a commit of a container without an image.
const (
	ServerID = "6f1e4a9c-7f0b-4b52-9a53-0c3a5d5f3c11"
	ImageID  = "c0ffee00-1111-4222-8333-444455556666"
	Cached   = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	Loaded   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
)

// Engine is as much of an engine as the agent can tell from the real one. It records its calls, and fails where a test says
// so.
type Engine struct {
	Mu         sync.Mutex
	Made       int                                  // containers, so that each has an id of its own
	committed  int                                  // images
	listeners  []listener                           // to events
	Containers map[string]container.InspectResponse // by name
	Images     map[string]image.InspectResponse     // by id and by name
	Parents    map[string]string                    // of images, by id
	Volumes    map[string]volume.CreateOptions      // by name
	Files      map[string][]byte                    // of all containers, by path: what was copied out, or in
	Modes      map[string]os.FileMode               // of those that are no regular files
	Links      map[string]string                    // where those of them lead that are symbolic links
	State      string                               // the agent's directory of servers
	VolumesDir string                               // has a directory for each volume; where there is none, they have no files
	Calls      []string
	Fail       map[string]error // by method
	FailOnce   map[string]error // by method, the next time only
	Hang       map[string]bool  // methods, with or without their subject, that do not answer

	// Started is called when a container's first process starts, with what an inspection will show of it; Stopped when it
	// is told to end, or is killed.
	Started func(found *container.InspectResponse)
	Stopped func(id string) error

	Account    func(archive io.Reader) string // what it says about a load, having read what it likes
	Imported   []string                       // the paths of the files of the last image that was imported
	Logs       string                         // of any container
	LogOf      map[string]string              // of those that have one of their own, by id
	Stats      string                         // of any container
	Sizes      map[string]int64               // of containers' files
	Warnings   []string                       // at any creation
	SystemInfo system.Info
	API        string                                         // its version
	Attached   chan net.Conn                                  // the container's end of each attachment
	Archive    io.Reader                                      // of an image that is saved
	ArchiveOf  map[string]func(ctx context.Context) io.Reader // of those that have one of their own, by id
	Failed     chan error                                     // ends the events
}

// maxAttached is how many attachments wait for a test to take them.
const maxAttached = 32

// New returns an engine without containers and images.
func New() *Engine {
	return &Engine{
		Containers: map[string]container.InspectResponse{},
		Images:     map[string]image.InspectResponse{},
		Parents:    map[string]string{},
		Volumes:    map[string]volume.CreateOptions{},
		Files:      map[string][]byte{},
		Modes:      map[string]os.FileMode{},
		Links:      map[string]string{},
		Hang:       map[string]bool{},
		Fail:       map[string]error{},
		FailOnce:   map[string]error{},
		Account:    ReadWhole,
		SystemInfo: system.Info{
			Architecture: "x86_64", NCPU: 8, ServerVersion: "20.10.24+dfsg1", DockerRootDir: "/",
			Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "extfs"}},
		},
		API:       "1.41",
		Attached:  make(chan net.Conn, maxAttached),
		LogOf:     map[string]string{},
		ArchiveOf: map[string]func(context.Context) io.Reader{},
		Failed:    make(chan error, 1),
	}
}

var _ engine.Docker = (*Engine)(nil)

// ErrAway is for Fail.
var ErrAway = errors.New("docker is away")

// did records a call, and returns what is to go wrong with it. The caller holds no lock.
func (e *Engine) did(method, subject string) error {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	e.Calls = append(e.Calls, strings.TrimSpace(method+" "+subject))
	if err := e.FailOnce[method]; err != nil {
		delete(e.FailOnce, method)
		return err
	}
	return e.Fail[method]
}

// hangs is did for a call that may not answer before its caller gives up.
func (e *Engine) hangs(ctx context.Context, method, subject string) error {
	err := e.did(method, subject)
	e.Mu.Lock()
	hangs := e.Hang[method] || e.Hang[method+" "+subject]
	e.Mu.Unlock()
	if !hangs {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// Called returns the calls so far.
func (e *Engine) Called() []string {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	return slices.Clone(e.Calls)
}

// WantCalls checks what the engine was asked for.
func (e *Engine) WantCalls(t *testing.T, want ...string) {
	t.Helper()
	if got := e.Called(); !slices.Equal(got, want) {
		t.Errorf("Docker was asked for\n%q, want\n%q", got, want)
	}
}
