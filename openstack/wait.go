package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"ndock/openstack/transport"
)

// Wait says whether to wait for the end of what was asked for, and how long.
type Wait struct {
	Wanted  bool
	Timeout time.Duration
	Tell    func(op, status string) // is told of each new status; may be nil
}

// poll asks until done says so, every 0.2 s at first and every 2 s in the end. A service that is away, or a proxy before
// it that says so, is asked again, when it wants to be or somewhat earlier: what it was asked for goes on meanwhile.
func (w Wait) poll(ctx context.Context, op string, done func(ctx context.Context) (status string, over bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	last := ""
	var away error // since the last answer
	for pause := 200 * time.Millisecond; ; pause = min(pause*5/4, 2*time.Second) {
		status, over, err := done(ctx)
		switch {
		case over, err != nil && ctx.Err() == nil && !isAway(err):
			return err
		case err != nil && ctx.Err() == nil:
			if away == nil {
				w.tell(op, err.Error()+"; asking again")
			}
			away = err
		case err == nil:
			if away = nil; status != last {
				w.tell(op, status)
			}
			last = cmp.Or(status, last)
		}
		select {
		case <-time.After(max(pause, w.pauseFor(err))):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return w.timedOut(op, last, away)
			}
			return ctx.Err()
		}
	}
}

// pauseFor is for how long a service is left alone that asks to be: as long as that where it has had too many requests, and
// else not for all the time there is, to see one that is back early.
func (w Wait) pauseFor(err error) time.Duration {
	var refused gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &refused) && refused.Actual == http.StatusTooManyRequests {
		return asksToWait(err)
	}
	return min(asksToWait(err), transport.LongestBackoff, w.Timeout/4)
}

func (w Wait) tell(op, status string) {
	if status != "" && w.Tell != nil {
		w.Tell(op, status)
	}
}

// errNotDone is what waiting ends in when its time is over.
var errNotDone = errors.New("not done")

func (w Wait) timedOut(op, last string, away error) error {
	reason := fmt.Errorf("%w after %s", errNotDone, w.Timeout)
	if last != "" {
		reason = fmt.Errorf("%w; the last status was %s", reason, last)
	}
	if away != nil {
		reason = fmt.Errorf("%w; %w", reason, away)
	}
	return &Error{Op: op, Err: reason, hint: "--timeout gives it longer"}
}

// retryTimeout is how long a service that is away is waited for where it must answer once more: to say how something stands
// that was begun, or to remove what there is of a failed upload.
const retryTimeout = 30 * time.Second

// persist asks until the service answers.
func persist[T any](ctx context.Context, ask func(ctx context.Context) (T, error)) (T, error) {
	var answer T
	var last error
	err := Wait{Timeout: retryTimeout}.poll(ctx, "", func(ctx context.Context) (string, bool, error) {
		answer, last = ask(ctx)
		return "", last == nil, last
	})
	if errors.Is(err, errNotDone) {
		err = last
	}
	return answer, err
}

// together waits for n things at once, so that all of them have the same time, and returns their errors in order.
func together(n int, wait func(i int) error) error {
	failed := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { failed[i] = wait(i) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// goal is what a server is waited for.
type goal struct {
	op      string // what was tried, for messages
	status  string // that it shall reach; empty for none any more
	via     string // the one status that may be seen before; empty where any may
	request string // by which that was asked for; empty where only ERROR tells of a failure
}

// await waits until the server is as it shall be. One that goes to ERROR, or a request that fails, ends it at once, and so
// does a request that Nova is done with, though the server is not as it should be.
func (c *Cloud) await(ctx context.Context, id string, g goal, wait Wait) (Server, error) {
	client, err := c.nova()
	if err != nil {
		return Server{}, err
	}
	var server Server
	var before progress
	host := &hostWatch{timeout: min(hostTimeout, wait.Timeout/4)}
	err = wait.poll(ctx, g.op, func(ctx context.Context) (string, bool, error) {
		got := servers.Get(ctx, client, id)
		found, err := got.Extract()
		if g.status == "" && gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return "", true, nil
		}
		if err != nil {
			return "", false, explain("look at server "+id, err)
		}
		server = serverFrom(*found)
		over, err := c.reached(ctx, server, g)
		if !over && host.isLost(got.Result, time.Now()) {
			return server.Status, true, g.lost(server)
		}
		if over || server.Task != "" {
			return server.Status, over, err
		}
		now := c.progress(ctx, id, g.request)
		err = g.missed(server, before, now)
		before = now
		return server.Status, err != nil, err
	})
	var late *Error
	if errors.Is(err, errNotDone) && errors.As(err, &late) {
		late.hint += fmt.Sprintf("; 'ndock show %s' shows how far it is", id)
		if g.status == "" && server.Task == "deleting" {
			late.hint += fmt.Sprintf(", and where its host is lost, 'ndock delete %s' once more deletes it without the host", id)
		}
	}
	return server, err
}

// hostTimeout is how long a server's host may be down before nobody waits for it any more. Nova takes a minute to find that
// out (service_down_time); a host whose nova-compute was only restarted is back soon.
const hostTimeout = 30 * time.Second

// A hostWatch watches what Nova says of a server's host. Its policy tells administrators alone, unless an operator lets others
// see it (servers:show:host_status).
type hostWatch struct {
	timeout time.Duration
	since   time.Time // when it was first seen down; zero where it is up, or not told
}

// isLost tells whether an answer about the server, as all for some time, says that its host is down.
func (w *hostWatch) isLost(got gophercloud.Result, now time.Time) bool {
	var shown struct {
		Server struct {
			HostStatus string `json:"host_status"` // UNKNOWN where Nova does not hear of it, DOWN where an operator has said so
		} `json:"server"`
	}
	if err := got.ExtractInto(&shown); err != nil || shown.Server.HostStatus != "UNKNOWN" && shown.Server.HostStatus != "DOWN" {
		w.since = time.Time{}
		return false
	}
	if w.since.IsZero() {
		w.since = now
	}
	return now.Sub(w.since) >= w.timeout
}

// lost says that nothing will happen before the server's host is back.
func (g goal) lost(server Server) error {
	hint := fmt.Sprintf("Nova goes on when the host is back; 'openstack server evacuate %s' has the server made anew on another one", server.ID)
	switch {
	case g.status == "":
		hint = fmt.Sprintf("'ndock delete %s' once more deletes it without its host", server.ID)
	case g.via == "BUILD":
		hint = fmt.Sprintf("'ndock delete %s' deletes it without its host; boot another one", server.ID)
	}
	return &Error{Op: g.op, Err: fmt.Errorf("its host%s is down, and the server is %s (%s)", atHost(server), server.Status, cmp.Or(server.Task, "no task")), RequestID: g.request, hint: hint}
}

// atHost is the host's name, where one may see it.
func atHost(server Server) string {
	if server.Host == "" {
		return ""
	}
	return " " + server.Host
}

func (c *Cloud) reached(ctx context.Context, server Server, g goal) (bool, error) {
	switch {
	case server.Task != "":
		return false, nil
	case server.Status == g.status:
		return true, nil
	case g.status == "":
		return server.Status == "SOFT_DELETED", nil // which Nova keeps for some time; one that is DELETED is gone in a moment
	case server.Status == "ERROR":
		return true, c.fault(ctx, server)
	case g.via != "" && server.Status != g.via:
		return true, g.endedAtOnce(server)
	}
	return false, nil
}

// missed says why a server without a task will not get to the goal any more. That its request is done must have been
// seen before the server was looked at: the two are not asked for at one moment.
func (g goal) missed(server Server, before, now progress) error {
	switch {
	case now == failed:
		return &Error{Op: g.op, Err: errors.New("it failed on the compute node"), RequestID: g.request, hint: "nova-compute's log has the reason, under this request"}
	case before != finished || g.status == "":
		return nil
	case g.status == "ACTIVE" && server.Status == "SHUTOFF":
		return g.endedAtOnce(server)
	}
	return &Error{Op: g.op, Err: fmt.Errorf("it is done, and the server is %s", server.Status), RequestID: g.request, hint: fmt.Sprintf("'ndock show %s' shows it", server.ID)}
}

func (g goal) endedAtOnce(server Server) error {
	return &Error{Op: g.op, Err: fmt.Errorf("it came up and is %s already: its process has ended", server.Status), hint: fmt.Sprintf("'ndock logs %s' shows what it said", server.ID)}
}

// fault says why a server is in ERROR, with the id of the request that brought it there.
func (c *Cloud) fault(ctx context.Context, server Server) error {
	reason := server.Fault
	if reason == "" {
		reason = "Nova does not say why"
	}
	return &Error{
		Op: fmt.Sprintf("server %q is in ERROR", server.Name), Err: errors.New(reason),
		RequestID: c.lastRequest(ctx, server.ID), hint: fmt.Sprintf("'ndock show %s' shows it, 'ndock delete %s' removes it", server.ID, server.ID),
	}
}
