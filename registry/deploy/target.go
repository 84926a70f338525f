package deploy

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/docker/docker/client"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/rollback"
)

// Host is where a registry is looked for and deployed.
type Host struct {
	Engine  Engine  // runs it as a container
	Systemd Systemd // runs it as a service; that of this machine when zero
}

// The kinds of a deployed registry.
const (
	KindContainer = "container"
	KindService   = "service"
)

// A target is where a registry of this host runs: a container or a service. It keeps nothing between calls: what one finds
// or does is its result, and an argument of the next.
type target interface {
	// inspect returns the registry that is there, and what a deployment that was killed has left; nil for nothing.
	inspect(ctx context.Context) (state, *interrupted, error)
	// prepare makes what the registry that is there takes no notice of. It returns the image of the new one, if it has
	// any, and the files that are configured when that is done.
	prepare(ctx context.Context, current state) (image string, kept files, err error)
	// made returns what tells a planned registry from others.
	made(wanted plan) (string, error)
	// apply puts the planned registry in the place of the current one, and starts it. It returns how far it came, also when
	// it fails.
	apply(ctx context.Context, current state, wanted plan) (progress, error)
	// alive returns why the new registry ended, if it did.
	alive(ctx context.Context, done progress) error
	// logTail returns what the new registry said last, to end an error with.
	logTail(ctx context.Context, done progress) string
	// commit removes the record of what was there before: it is not put back any more.
	commit(ctx context.Context, done progress) error
	// restore returns the steps that undo apply, which wrote these files. The last one removes the record of what was there
	// before, when all before it have succeeded.
	restore(current state, written files, done progress) []rollback.Step
	// cleanUp removes what the new registry has replaced.
	cleanUp(ctx context.Context, done progress) error
}

// state is the registry that a target has, or none.
type state struct {
	id      string // of the container, or the unit's name; empty for none
	running bool
	enabled bool   // it starts with the host
	listen  string // HOST:PORT
	tls     string // the mode
	made    string // what it was made with: the digest of the container's spec, or the unit's text
	files   files  // its configuration
}

func (s state) exists() bool { return s.id != "" }

// progress is how far a target came with a new registry.
type progress struct {
	id       string    // of the new container
	recorded bool      // the files that were there may be recorded beside the new ones
	wrote    bool      // the files may be others now
	started  time.Time // when the service was
}

// interrupted is what a deployment that was killed has left.
type interrupted struct {
	before state // the registry that it has replaced, running as far as is known
	files  files // that it wrote
	done   progress
}

// paths are where the registry finds things.
type paths struct{ config, data, control string }

// inVolumes is where a container finds its files.
var inVolumes = paths{config: configDir, data: config.DataDir, control: controlSocket}

func (o Options) paths() paths {
	if o.Service {
		return onHost
	}
	return inVolumes
}

func (o Options) kind() string {
	if o.Service {
		return KindService
	}
	return KindContainer
}

// dataName returns what an operator knows the data by.
func (o Options) dataName() string {
	if o.Service {
		return onHost.data + ", which may be a mount"
	}
	return "the volume " + dataVolume
}

// target returns the target that the options name.
func (h Host) target(in inputs) target {
	if in.Service {
		return serviceTarget{systemd: h.Systemd, engine: h.Engine, report: in.Report}
	}
	return containerTarget{engine: h.Engine, systemd: h.Systemd, program: in.program, version: in.Version, report: in.Report}
}

// checkProgram returns a check whether a program can run at the target.
func (h Host) checkProgram(service bool) func(program io.ReaderAt, name string) error {
	if service {
		return h.Systemd.checkProgram
	}
	return checkStatic
}

// otherKind returns the error that there is a registry of the other kind already.
func otherKind(as, is, data string) error {
	return &registry.Error{
		Op:   "deploy the registry " + as,
		Err:  errors.New("it is " + is),
		Help: "'ndock registry remove' takes that away first; what was pushed stays in " + data + ", and does not move",
	}
}

// noEngine returns whether there is no Docker Engine to ask.
func noEngine(err error) bool {
	var failed *registry.Error
	return errors.As(err, &failed) && client.IsErrConnectionFailed(failed.Err)
}
