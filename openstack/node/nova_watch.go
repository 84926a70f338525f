package node

import (
	"context"
	"errors"
	"fmt"
	"time"
)

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
			return &hopeless{n.ended("soon after it was started")}
		case phase == Ended || first != 0 && pid != first:
			return &hopeless{n.ended("before it was ready")}
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
		err = &hopeless{err}
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
			return &hopeless{err}
		case pid == 0 || first != 0 && pid != first:
			return &hopeless{n.ended("soon after it was started")}
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
