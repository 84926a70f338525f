package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/novalog"
	"ndock/openstack/node/system"
)

// compute is the step that has nova-compute run with what the steps before it have put in place.
type novaCompute struct {
	Machine
	driver *shim
	conf   *config
	files  []node.Step // that it reads

	did       bool
	running   bool      // before Do, or before Teardown
	former    int       // the process before Do
	logged    int64     // bytes of the log that are older than Do
	restarted time.Time // when Do began
}

func (n *novaCompute) Title() string { return n.Layout.Compute.Name }

func (n *novaCompute) Plan(ctx context.Context) ([]string, error) {
	pid, err := n.pid(ctx)
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return []string{"start service " + n.Layout.Compute.Name}, nil
	}
	old, err := n.isOutdated(ctx, pid)
	if err != nil || !old {
		return nil, err
	}
	return []string{"restart service " + n.Layout.Compute.Name}, nil
}

// old says whether the process runs, or is about to run, with other files than those in place.
func (n *novaCompute) isOutdated(ctx context.Context, pid int) (bool, error) {
	for _, step := range []node.Step{n.driver, n.conf} {
		plan, err := step.Plan(ctx)
		if err != nil || len(plan) > 0 {
			return true, nil // that step tells its error itself
		}
	}
	paths, err := n.driver.paths()
	if err != nil {
		return false, err
	}
	return system.Outdated(n.Layout.Root, pid, append(paths, n.Layout.Config, layout.KollaConfig)) // the last is not there but with Kolla
}

func (n *novaCompute) pid(ctx context.Context) (int, error) {
	return n.Services.PID(ctx, n.Layout.Compute)
}

func (n *novaCompute) Do(ctx context.Context) error {
	pid, err := n.pid(ctx)
	if err != nil {
		return err
	}
	n.did, n.running, n.former, n.restarted = true, pid != 0, pid, time.Now()
	if info, err := os.Stat(n.log()); err == nil {
		n.logged = info.Size()
	}
	if err := n.restart(ctx, n.Timeouts.Start); err != nil {
		return n.explain(err)
	}
	return n.waitWhileItLoads(ctx)
}

func (n *novaCompute) Detail(ctx context.Context) string {
	pid, err := n.pid(ctx)
	if err != nil {
		return err.Error()
	}
	detail := fmt.Sprintf("runs with this driver (process %d)", pid)
	if complaint := n.complaintsOf(pid).LastError(); complaint != "" {
		detail += "; what it complained about last: " + complaint
	}
	return detail
}

// Rollback has nothing to do yet: the old driver is not back. See Settle.
func (n *novaCompute) Rollback(context.Context) ([]string, error) { return nil, nil }

// Teardown only looks whether nova-compute runs: the old driver is not back yet. See Settle.
func (n *novaCompute) Teardown(ctx context.Context) ([]string, error) {
	pid, err := n.pid(ctx)
	n.running = pid != 0
	return nil, err
}

// given says whether nova-compute has had, or may have had, the driver from this run, or is to lose it by it.
func (n *novaCompute) hadDriver() bool { return n.did || n.driver.undone || n.conf.undone }

// After: nova-compute has its old driver back before the agent goes. The driver would tell Nova that the host is down.
func (n *novaCompute) After() []node.Step { return n.files }

// Settle restarts nova-compute with what is back in place, unless it did not run before either.
func (n *novaCompute) Settle(ctx context.Context) ([]string, error) {
	name := n.Layout.Compute.Name
	switch {
	case !n.hadDriver():
		return nil, nil
	case n.running:
		return n.restoreDriver(ctx)
	case n.did:
		return []string{"stopped service " + name + ", which did not run before"}, n.Services.Stop(ctx, n.Layout.Compute)
	}
	return []string{"left service " + name + " stopped"}, nil
}

// bringBack is content with a nova-compute that does not say yet that it is ready: whatever it waits for, as its broker, is
// not what setup has changed. But it waits for the end of the process of before: that has our driver, and would tell Nova that
// the host is down when the agent goes.
func (n *novaCompute) restoreDriver(ctx context.Context) ([]string, error) {
	text := "restarted service " + n.Layout.Compute.Name
	pid, err := n.pid(ctx)
	if err != nil {
		return nil, err
	}
	n.former = pid
	if err = n.Services.Begin(ctx, n.Layout.Compute); err == nil {
		err = n.waitForEnd(ctx)
	}
	if err != nil {
		return []string{text}, err
	}
	err = n.waitUntilReady(ctx, n.Timeouts.Compute)
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
func (n *novaCompute) restart(ctx context.Context, limit time.Duration) error {
	if err := n.Services.Begin(ctx, n.Layout.Compute); err != nil {
		return err
	}
	return n.waitUntilReady(ctx, limit)
}

// gone waits until the process of before has ended, which finishes first what it is doing.
func (n *novaCompute) waitForEnd(ctx context.Context) error {
	return system.Await(ctx, n.Timeouts.Poll, n.Timeouts.Start, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		if err == nil && pid != 0 && pid == n.former {
			return n.stillRuns(pid)
		}
		return nil // ready tells what is wrong
	})
}

func (n *novaCompute) stillRuns(pid int) error {
	return &unready{fmt.Sprintf("%s does not end (process %d)", n.Layout.Compute.Name, pid)}
}

func (n *novaCompute) waitUntilReady(ctx context.Context, limit time.Duration) error {
	first := 0
	return system.Await(ctx, n.Timeouts.Poll, limit, func(ctx context.Context) error {
		pid, phase, err := n.state(ctx)
		switch {
		case err != nil:
			return err
		case phase == system.Ended && first == 0:
			return system.Permanent(n.ended("soon after it was started"))
		case phase == system.Ended || first != 0 && pid != first:
			return system.Permanent(n.ended("before it was ready"))
		case phase == system.Ready:
			return nil
		case pid != 0 && pid == n.former:
			return n.stillRuns(pid)
		}
		first = pid
		return &unready{fmt.Sprintf("%s does not say that it is ready (process %d)", n.Layout.Compute.Name, pid)}
	})
}

func (n *novaCompute) ended(when string) error {
	return fmt.Errorf("%s ended %s", n.Layout.Compute.Name, when)
}

// look asks the service manager. That the time was up while it thought is not hopeless.
func (n *novaCompute) state(ctx context.Context) (pid int, phase system.Phase, err error) {
	pid, err = n.pid(ctx)
	if err == nil {
		phase, err = n.Services.Phase(ctx, n.Layout.Compute)
	}
	if err != nil && ctx.Err() == nil {
		err = system.Permanent(err)
	}
	return pid, phase, err
}

// stays waits until nova-compute has been up long enough to have loaded its driver: an init script calls it started
// before that.
func (n *novaCompute) waitWhileItLoads(ctx context.Context) error {
	up, first := errors.New("still up"), 0
	err := system.Await(ctx, n.Timeouts.Poll, n.Timeouts.Compute, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		switch {
		case ctx.Err() != nil: // the time was up while the service manager thought
		case err != nil:
			return system.Permanent(err)
		case pid == 0 || first != 0 && pid != first:
			return system.Permanent(n.ended("soon after it was started"))
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
func (n *novaCompute) explain(err error) error {
	return system.Advise(n.complaints().Explain(err), "see what it says: %s", n.Services.ReadLog(n.Layout.Compute))
}

// complaints are those since Do has begun. What the process of before says while it ends is none of them.
func (n *novaCompute) complaints() novalog.Log {
	return novalog.Log{Path: n.log(), From: n.logged, Since: n.restarted, NotProcess: n.former}
}

// complaintsOf are those of a process. One in a container of Kolla's has another number there, and writes that.
func (n *novaCompute) complaintsOf(pid int) novalog.Log {
	since, err := system.Started(n.Layout.Root, pid)
	if err != nil {
		return novalog.Log{}
	}
	all := novalog.Log{Path: n.log(), Since: since.Add(-system.ClockSlack), Process: pid}
	if n.Layout.Kolla {
		all.Process = 0
	}
	return all
}

// complaintsNow are those of the process that was started last, be it by Do or before.
func (n *novaCompute) complaintsNow(ctx context.Context) novalog.Log {
	if n.did {
		return n.complaints()
	}
	pid, err := n.pid(ctx)
	if err != nil || pid == 0 {
		return novalog.Log{}
	}
	return n.complaintsOf(pid)
}

func (n *novaCompute) log() string { return n.Layout.Path(n.Layout.Compute.Log) }
