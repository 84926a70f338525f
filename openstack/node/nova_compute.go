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

// unready is a service of which a process runs, or is about to.
type unready struct{ what string }

func (u *unready) Error() string { return u.what }

// begin restarts nova-compute and waits until it says that it is ready, where it does that: it waits for Nova's conductor,
// and so for the broker, as long as it takes, and systemd with it.
func (n *compute) begin(ctx context.Context, limit time.Duration) error {
	if err := n.Services.Begin(ctx, n.Layout.Compute); err != nil {
		return err
	}
	return n.ready(ctx, limit)
}

// gone waits until the process of before has ended, which finishes first what it is doing.
func (n *compute) gone(ctx context.Context) error {
	return await(ctx, n.Patience.Poll, n.Patience.Start, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		if err == nil && pid != 0 && pid == n.former {
			return n.lingers(pid)
		}
		return nil // ready tells what is wrong
	})
}

func (n *compute) lingers(pid int) error {
	return &unready{fmt.Sprintf("%s does not end (process %d)", n.Layout.Compute.Name, pid)}
}

func (n *compute) ready(ctx context.Context, limit time.Duration) error {
	first := 0
	return await(ctx, n.Patience.Poll, limit, func(ctx context.Context) error {
		pid, phase, err := n.look(ctx)
		switch {
		case err != nil:
			return err
		case phase == Ended && first == 0:
			return permanent(n.ended("soon after it was started"))
		case phase == Ended || first != 0 && pid != first:
			return permanent(n.ended("before it was ready"))
		case phase == Ready:
			return nil
		case pid != 0 && pid == n.former:
			return n.lingers(pid)
		}
		first = pid
		return &unready{fmt.Sprintf("%s does not say that it is ready (process %d)", n.Layout.Compute.Name, pid)}
	})
}

func (n *compute) ended(when string) error {
	return fmt.Errorf("%s ended %s", n.Layout.Compute.Name, when)
}

// look asks the service manager. That the time was up while it thought is not hopeless.
func (n *compute) look(ctx context.Context) (pid int, phase Phase, err error) {
	pid, err = n.pid(ctx)
	if err == nil {
		phase, err = n.Services.Phase(ctx, n.Layout.Compute)
	}
	if err != nil && ctx.Err() == nil {
		err = permanent(err)
	}
	return pid, phase, err
}

// stays waits until nova-compute has been up long enough to have loaded its driver: an init script calls it started
// before that.
func (n *compute) stays(ctx context.Context) error {
	up, first := errors.New("still up"), 0
	err := await(ctx, n.Patience.Poll, n.Patience.Compute, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		switch {
		case ctx.Err() != nil: // the time was up while the service manager thought
		case err != nil:
			return permanent(err)
		case pid == 0 || first != 0 && pid != first:
			return permanent(n.ended("soon after it was started"))
		default:
			first = pid
		}
		return up
	})
	if errors.Is(err, up) {
		return nil
	}
	return n.explain(err)
}

// explain adds the last thing that nova-compute complained about since it was started.
func (n *compute) explain(err error) error {
	return advise(n.complaints().explain(err), "see what it says: %s", n.Services.ReadLog(n.Layout.Compute))
}

// complaints are those since Do has begun. What the process of before says while it ends is none of them.
func (n *compute) complaints() complaints {
	return complaints{path: n.log(), from: n.logged, since: n.restarted, not: n.former}
}

// complaintsOf are those of a process. One in a container of Kolla's has another number there, and writes that.
func (n *compute) complaintsOf(pid int) complaints {
	since, err := started(n.Layout.Root, pid)
	if err != nil {
		return complaints{}
	}
	all := complaints{path: n.log(), since: since.Add(-slack), of: pid}
	if n.Layout.Kolla {
		all.of = 0
	}
	return all
}

// complaintsNow are those of the process that was started last, be it by Do or before.
func (n *compute) complaintsNow(ctx context.Context) complaints {
	if n.did {
		return n.complaints()
	}
	pid, err := n.pid(ctx)
	if err != nil || pid == 0 {
		return complaints{}
	}
	return n.complaintsOf(pid)
}

func (n *compute) log() string { return n.Layout.Path(n.Layout.Compute.Log) }
