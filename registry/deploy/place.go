package deploy

import (
	"context"
	"errors"
	"io"

	"github.com/docker/docker/client"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/rollback"
)

// Host is where the registry of this host is looked for.
type Host struct {
	Engine  Engine  // runs it as a container
	Systemd Systemd // runs it as a service; that of this machine when zero
}

// The kinds of a deployed registry.
const (
	KindContainer = "container"
	KindService   = "service"
)

// place is where a registry is deployed. Its methods are called in this order, each once but for alive and lastWords.
type place interface {
	runs(program io.ReaderAt, name string) error // tells why the program cannot run there

	look(ctx context.Context) error       // for what is there
	recover(ctx context.Context) error    // puts back what a deployment that was killed has replaced
	listens() string                      // where it listens; empty when nothing runs
	prepare(ctx context.Context) error    // what the registry that is there takes no notice of
	readConfig(ctx context.Context) error // into kept
	plan() error                          // what the registry shall be made with
	upToDate() bool                       // tells whether the one that is there was made so, and runs
	create(ctx context.Context) error     // the new one in the place of the old, not running yet
	configure(ctx context.Context) error  // gives it the files
	start(ctx context.Context) error      // has it serve
	alive(ctx context.Context) error      // tells why it ended, if it did
	lastWords(ctx context.Context) string // is what it said last, to end an error with
	putBack() []rollback.Step             // which undo create, configure and start, as far as they came
	forget(ctx context.Context) error     // after all of those: as commit, for what was put back
	commit(ctx context.Context) error     // after it, recover has nothing to put back
	tidy(ctx context.Context) error       // removes what it has replaced
}

// paths are where the registry finds things.
type paths struct{ config, data, control string }

// inVolumes are where a container finds things.
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

// store is what an operator knows the data by.
func (o Options) store() string {
	if o.Service {
		return onHost.data + ", which may be a mount"
	}
	return "the volume " + dataVolume
}

// place is the one that the options name.
func (h Host) place(d *deployment) place {
	if d.Service {
		return &asService{deployment: d, host: h, systemd: h.Systemd}
	}
	return &inContainer{deployment: d, host: h, engine: h.Engine}
}

// noEngine tells whether there is no Docker that could be asked.
func noEngine(err error) bool {
	var failed *registry.Error
	return errors.As(err, &failed) && client.IsErrConnectionFailed(failed.Err)
}
