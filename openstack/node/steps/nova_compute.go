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

// novaCompute is the step that restarts nova-compute with what the steps before have put in place.
type novaCompute struct {
	Machine
	driver *shim
	conf   *config
	files  []node.Step // whose files it reads

	did       bool      // Do has begun
	running   bool      // before Do, or before Teardown
	former    int       // the process before Do, or before Settle
	logSize   int64     // before Do
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

// isOutdated tells whether the process was started before one of its files was written, or one is to be written.
func (n *novaCompute) isOutdated(ctx context.Context, pid int) (bool, error) {
	for _, step := range []node.Step{n.driver, n.conf} {
		plan, err := step.Plan(ctx)
		if err != nil || len(plan) > 0 {
			return true, nil // an error is that step's
		}
	}
	paths, err := n.driver.paths()
	if err != nil {
		return false, err
	}
	return system.Outdated(n.Layout.Root, pid, append(paths, n.Layout.Config, layout.DropIn, layout.KollaConfig)) // the last two exist on some machines only
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
		n.logSize = info.Size()
	}
	if err := n.restart(ctx, n.Timeouts.Start); err != nil {
		return n.explain(err)
	}
	return n.waitWhileItLoads(ctx)
}

func (n *novaCompute) Detail(ctx context.Context) (string, error) {
	pid, err := n.pid(ctx)
	if err != nil {
		return "", err
	}
	detail := fmt.Sprintf("runs with this driver (process %d)", pid)
	if complaint := n.logOf(pid).LastError(); complaint != "" {
		detail += "; what it complained about last: " + complaint
	}
	return detail, nil
}

// Rollback has nothing to do yet: the old driver is not back. See Settle.
func (n *novaCompute) Rollback(context.Context) ([]string, error) { return nil, nil }

// Teardown finds out whether nova-compute runs. The old driver is not back yet. See Settle.
func (n *novaCompute) Teardown(ctx context.Context) ([]string, error) {
	pid, err := n.pid(ctx)
	n.running = pid != 0
	return nil, err
}

// hadDriver tells whether nova-compute may have got the driver by this run, or loses it.
func (n *novaCompute) hadDriver() bool { return n.did || n.driver.undone || n.conf.undone }

// After returns the steps of the files. The agent's comes after Settle: without the agent our driver would tell Nova that the
// host is down.
func (n *novaCompute) After() []node.Step { return n.files }

// Settle restarts nova-compute with its old driver, if it ran before.
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

// restoreDriver restarts nova-compute and waits for the end of its former process: our driver in it would tell Nova that the
// host is down when the agent goes. That the new process is not ready in time is no error: it may wait for its broker, which
// setup has not changed.
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

// unready is the error of a service that may still become ready.
type unready struct{ what string }

func (u *unready) Error() string { return u.what }

// restart restarts nova-compute and waits until it says that it is ready, if it does. Without a limit that can be for ever:
// nova-compute waits for Nova's conductor and the broker.
func (n *novaCompute) restart(ctx context.Context, limit time.Duration) error {
	if err := n.Services.Begin(ctx, n.Layout.Compute); err != nil {
		return err
	}
	return n.waitUntilReady(ctx, limit)
}

// waitForEnd waits until the former process has ended, which first finishes what it is doing.
func (n *novaCompute) waitForEnd(ctx context.Context) error {
	return system.Await(ctx, n.Timeouts.Poll, n.Timeouts.Start, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		if err == nil && pid != 0 && pid == n.former {
			return n.stillRuns(pid)
		}
		return nil // errors are those of waitUntilReady
	})
}

func (n *novaCompute) stillRuns(pid int) error {
	return &unready{fmt.Sprintf("%s does not end (process %d)", n.Layout.Compute.Name, pid)}
}

// waitUntilReady waits until a new process is ready. One that ended, or was replaced, is a permanent error.
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

// state asks the service manager. Its errors are permanent, unless the time was up.
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

// waitWhileItLoads waits until nova-compute has been up for long enough to have loaded its driver. An init script reports it
// started before that.
func (n *novaCompute) waitWhileItLoads(ctx context.Context) error {
	up, first := errors.New("still up"), 0
	err := system.Await(ctx, n.Timeouts.Poll, n.Timeouts.Compute, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		switch {
		case ctx.Err() != nil: // the time was up before the service manager answered
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

// explain adds the last error that nova-compute has logged since Do, and where its log is.
func (n *novaCompute) explain(err error) error {
	return system.Advise(n.logSinceDo().Explain(err), "see what it says: %s", n.Services.ReadLog(n.Layout.Compute))
}

// logSinceDo is the log since Do began, without the lines of the former process, which logs errors as it ends.
func (n *novaCompute) logSinceDo() novalog.Log {
	return novalog.Log{Path: n.log(), From: n.logSize, Since: n.restarted, NotProcess: n.former}
}

// logOf is the log of a process. In Kolla's container it has another number, and logs that.
func (n *novaCompute) logOf(pid int) novalog.Log {
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

// currentLog is the log of the process that was started last, by Do or before.
func (n *novaCompute) currentLog(ctx context.Context) novalog.Log {
	if n.did {
		return n.logSinceDo()
	}
	pid, err := n.pid(ctx)
	if err != nil || pid == 0 {
		return novalog.Log{}
	}
	return n.logOf(pid)
}

func (n *novaCompute) log() string { return n.Layout.Path(n.Layout.Compute.Log) }
