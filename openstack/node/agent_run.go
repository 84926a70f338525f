package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Do writes what is missing, and has the agent that is installed run.
func (a *agent) Do(ctx context.Context) error {
	missing, err := a.missing()
	if err != nil {
		return err
	}
	if a.before, err = a.state(ctx); err != nil {
		return err
	}
	if err := a.install(missing); err != nil {
		return err
	}
	if err := a.Services.Enable(ctx, a.service()); err != nil {
		return err
	}
	if err := a.Services.Restart(ctx, a.service()); err != nil {
		return err
	}
	return a.answers(ctx)
}

func (a *agent) state(ctx context.Context) (*agentState, error) {
	pid, err := a.Services.PID(ctx, a.service())
	if err != nil {
		return nil, err
	}
	enabled, err := a.Services.Enabled(ctx, a.service())
	return &agentState{running: pid != 0, enabled: enabled}, err
}

func (a *agent) install(missing []file) error {
	for _, f := range missing {
		if f.path == a.Layout.AgentFile {
			if err := a.claim(); err != nil {
				return err
			}
		}
		if err := a.did.write(a.Layout.Path(f.path), f.content, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// claim notes that the program was not there before: only then it is ours to remove.
func (a *agent) claim() error {
	_, err := os.Stat(a.Layout.Path(a.Layout.AgentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return a.did.record(a.Layout, func(r *record) { r.Program = a.Layout.AgentFile }, func(r *record) { r.Program = "" })
	}
	return err
}

// serversDir is where the agent keeps what servers have beside their containers, as long as there are any.
const serversDir = "/var/lib/ndock/servers"

func (a *agent) answers(ctx context.Context) error {
	err := await(ctx, a.Patience.Poll, a.Patience.Agent, func(ctx context.Context) error {
		_, err := a.AgentVersion(ctx)
		return err
	})
	if err != nil {
		return advise(fmt.Errorf("wait for ndock's agent: %w", err), "see what it says: %s", a.Services.ReadLog(a.service()))
	}
	return nil
}
