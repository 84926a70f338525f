package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// compute is the step that has nova-compute run with what the steps before it have put in place.
type compute struct {
	Machine
	driver *shim
	conf   *config
	files  []Step // that it reads

	did       bool
	running   bool      // before Do, or before Teardown
	former    int       // the process before Do
	logged    int64     // bytes of the log that are older than Do
	restarted time.Time // when Do began
}

func (n *compute) Title() string { return n.Layout.Compute.Name }

func (n *compute) Plan(ctx context.Context) ([]string, error) {
	pid, err := n.pid(ctx)
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return []string{"start service " + n.Layout.Compute.Name}, nil
	}
	old, err := n.old(ctx, pid)
	if err != nil || !old {
		return nil, err
	}
	return []string{"restart service " + n.Layout.Compute.Name}, nil
}

// old says whether the process runs, or is about to run, with other files than those in place.
func (n *compute) old(ctx context.Context, pid int) (bool, error) {
	for _, step := range []Step{n.driver, n.conf} {
		plan, err := step.Plan(ctx)
		if err != nil || len(plan) > 0 {
			return true, nil // that step tells its error itself
		}
	}
	paths, err := n.driver.paths()
	if err != nil {
		return false, err
	}
	return outdated(n.Layout.Root, pid, append(paths, n.Layout.Config, kollaConfig)) // the last is not there but with Kolla
}

func (n *compute) pid(ctx context.Context) (int, error) {
	return n.Services.PID(ctx, n.Layout.Compute)
}

func (n *compute) Do(ctx context.Context) error {
	pid, err := n.pid(ctx)
	if err != nil {
		return err
	}
	n.did, n.running, n.former, n.restarted = true, pid != 0, pid, time.Now()
	if info, err := os.Stat(n.log()); err == nil {
		n.logged = info.Size()
	}
	if err := n.begin(ctx, n.Patience.Start); err != nil {
		return n.explain(err)
	}
	return n.stays(ctx)
}

func (n *compute) Detail(ctx context.Context) string {
	pid, err := n.pid(ctx)
	if err != nil {
		return err.Error()
	}
	detail := fmt.Sprintf("runs with this driver (process %d)", pid)
	if complaint := n.complaintsOf(pid).last(); complaint != "" {
		detail += "; what it complained about last: " + complaint
	}
	return detail
}

// Rollback has nothing to do yet: the old driver is not back. See Settle.
func (n *compute) Rollback(context.Context) ([]string, error) { return nil, nil }

// Teardown only looks whether nova-compute runs: the old driver is not back yet. See Settle.
func (n *compute) Teardown(ctx context.Context) ([]string, error) {
	pid, err := n.pid(ctx)
	n.running = pid != 0
	return nil, err
}

// given says whether nova-compute has had, or may have had, the driver from this run, or is to lose it by it.
func (n *compute) given() bool { return n.did || n.driver.undone || n.conf.undone }

// After: nova-compute has its old driver back before the agent goes. The driver would tell Nova that the host is down.
func (n *compute) After() []Step { return n.files }

// Settle restarts nova-compute with what is back in place, unless it did not run before either.
func (n *compute) Settle(ctx context.Context) ([]string, error) {
	name := n.Layout.Compute.Name
	switch {
	case !n.given():
		return nil, nil
	case n.running:
		return n.bringBack(ctx)
	case n.did:
		return []string{"stopped service " + name + ", which did not run before"}, n.Services.Stop(ctx, n.Layout.Compute)
	}
	return []string{"left service " + name + " stopped"}, nil
}

// bringBack is content with a nova-compute that does not say yet that it is ready: whatever it waits for, as its broker, is
// not what setup has changed. But it waits for the end of the process of before: that has our driver, and would tell Nova that
// the host is down when the agent goes.
func (n *compute) bringBack(ctx context.Context) ([]string, error) {
	text := "restarted service " + n.Layout.Compute.Name
	pid, err := n.pid(ctx)
	if err != nil {
		return nil, err
	}
	n.former = pid
	if err = n.Services.Begin(ctx, n.Layout.Compute); err == nil {
		err = n.gone(ctx)
	}
	if err != nil {
		return []string{text}, err
	}
	err = n.ready(ctx, n.Patience.Compute)
	var waits *unready
	if errors.As(err, &waits) && ctx.Err() == nil {
		return []string{text + ", which is not ready yet"}, nil
	}
	return []string{text}, err
}
