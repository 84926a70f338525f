// Package deploy runs a registry on this host, as a container of Docker Engine or as a service of systemd (Run), tells how it
// is (Find), and takes it away again (Remove).
//
//	Run ─► image of /ndock ─► container "ndock-registry": ndock registry serve
//	                            ├─ volume "ndock-registry"         what was pushed
//	                            └─ volume "ndock-registry-config"  configuration, certificates and logins
//
// All that is to be remembered stands on the container, as labels, and in the config volume; or in the service's unit and in
// /etc/ndock-registry. There is one such registry on a host, of one kind or the other: see target.
package deploy

import (
	"context"
	"errors"
	"time"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/rollback"
	"ndock/registry/trust"
)

// Run makes the host run the registry that the options describe, in the place of one that is there already. What was pushed
// stays, and so do the logins and the CA where the options name no others. It changes nothing when the registry is as it
// shall be. When it fails, it puts back the registry that was there.
func Run(ctx context.Context, host Host, o Options) (Status, error) {
	in, err := readInputs(host, o)
	if err != nil {
		return Status{}, err
	}
	defer in.program.file.Close()
	if err := deploy(ctx, host.target(in), in); err != nil {
		return Status{}, err
	}
	return Find(ctx, host)
}

func deploy(ctx context.Context, t target, in inputs) error {
	current, recovered, err := inspect(ctx, t, in)
	if err != nil {
		return err
	}
	if err := checkPort(ctx, in, current); err != nil {
		return err
	}
	image, kept, err := t.prepare(ctx, current)
	if err != nil {
		return err
	}
	current.files = kept
	wanted, err := newPlan(in, t, kept, image, time.Now())
	switch {
	case err != nil:
		return err
	case wanted.describes(current):
		return confirm(ctx, t, in, current, wanted, recovered)
	}
	return replace(ctx, t, in, current, wanted)
}

// inspect returns the registry that is there. After a deployment that was killed, it first restores what was there
// before that.
func inspect(ctx context.Context, t target, in inputs) (current state, recovered bool, err error) {
	current, left, err := t.inspect(ctx)
	if err != nil || left == nil {
		return current, false, err
	}
	if err := ctx.Err(); err != nil {
		return state{}, false, err
	}
	if err := recoverInterrupted(context.WithoutCancel(ctx), t, in, *left); err != nil {
		return state{}, false, err
	}
	current, _, err = t.inspect(ctx)
	return current, true, err
}

// replace puts the planned registry in the place of the current one.
func replace(ctx context.Context, t target, in inputs, current state, wanted plan) error {
	var done progress
	var edits []trust.Edit
	err := inOrder(ctx,
		func(ctx context.Context) (err error) { done, err = t.apply(ctx, current, wanted); return err },
		func(ctx context.Context) error { return waitUntilUp(ctx, t, done, wanted, in.Timeout) },
		func(context.Context) (err error) { edits, err = trustRegistry(in, current, wanted); return err },
		wanted.whole(func(ctx context.Context) error { return t.commit(ctx, done) }),
	)
	if err != nil {
		return restore(ctx, t, in, current, wanted.files, done, edits, err)
	}
	in.Report.Step("registry %s is up", wanted.url)
	return t.cleanUp(ctx, done)
}

// confirm mends what does not take a new registry: the trust of this host.
func confirm(ctx context.Context, t target, in inputs, current state, wanted plan, recovered bool) error {
	edits, err := trustRegistry(in, current, wanted)
	if err == nil && recovered { // and may be starting still
		err = waitUntilAnswers(ctx, t, progress{}, wanted, in.Timeout, func(context.Context) error { return nil })
	}
	if err == nil && len(edits) == 0 {
		in.Report.Step("registry %s is up to date; nothing to do", wanted.url)
	}
	return err
}

// inOrder runs the steps until one fails or the context ends.
func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// whole makes a step complete although the context ends: what is half done could not be undone.
func (p plan) whole(step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		return rollback.Within(context.WithoutCancel(ctx), stepLimit(p.stopTimeout), step)
	}
}

// stepLimit returns how long one step may take, if it may have to wait for the registry's end.
func stepLimit(stopTimeout int) time.Duration {
	return rollback.StepLimit + time.Duration(stopTimeout)*time.Second
}

// checkPort tries the port before anything is made or stopped. The port of the registry that is there is free for its
// successor.
func checkPort(ctx context.Context, in inputs, current state) error {
	if at, err := config.ParseAddress(current.listen); err == nil && current.running && at.Port == in.at.Port {
		return nil
	}
	listener, err := config.Listen(ctx, in.Listen)
	var taken *registry.Error
	switch {
	case err == nil:
		return listener.Close()
	case errors.As(err, &taken):
		return err
	}
	return nil // an address that this host has not: the engine may be on another
}
