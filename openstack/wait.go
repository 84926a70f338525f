package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
)

// Wait says whether to wait for the end of what was asked for, and how long.
type Wait struct {
	Wanted  bool
	Timeout time.Duration
	Tell    func(op, status string) // is told of each new status; may be nil
}

// poll asks until done says so, every 0.2 s at first and every 2 s in the end.
func (w Wait) poll(ctx context.Context, op string, done func(ctx context.Context) (status string, over bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	last := ""
	for pause := 200 * time.Millisecond; ; pause = min(pause*5/4, 2*time.Second) {
		status, over, err := done(ctx)
		if err != nil && ctx.Err() == nil || over {
			return err
		}
		if status != last && status != "" && w.Tell != nil {
			w.Tell(op, status)
		}
		last = cmp.Or(status, last)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return w.timedOut(op, last)
			}
			return ctx.Err()
		}
	}
}

func (w Wait) timedOut(op, last string) error {
	reason := fmt.Errorf("not done after %s", w.Timeout)
	if last != "" {
		reason = fmt.Errorf("%w; the last status was %s", reason, last)
	}
	return &Error{Op: op, Err: reason, hint: "--timeout gives it longer"}
}

// goal is what a server is waited for.
type goal struct {
	op      string // what was tried, for messages
	status  string // that it shall reach; empty for none any more
	via     string // the one status that may be seen before; empty where any may
	request string // by which that was asked for; empty where only ERROR tells of a failure
}

// await waits until the server is as it shall be. One that goes to ERROR, or a request that fails, ends it at once.
func (c *Cloud) await(ctx context.Context, id string, g goal, wait Wait) (Server, error) {
	client, err := c.nova()
	if err != nil {
		return Server{}, err
	}
	var server Server
	err = wait.poll(ctx, g.op, func(ctx context.Context) (string, bool, error) {
		found, err := servers.Get(ctx, client, id).Extract()
		if g.status == "" && gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return "", true, nil
		}
		if err != nil {
			return "", false, explain("look at server "+id, err)
		}
		server = serverFrom(*found)
		over, err := c.reached(ctx, server, g)
		return server.Status, over, err
	})
	return server, err
}

func (c *Cloud) reached(ctx context.Context, server Server, g goal) (bool, error) {
	switch {
	case server.Task != "":
		return false, nil
	case server.Status == g.status:
		return true, nil
	case server.Status == "ERROR" && g.status != "":
		return true, c.fault(ctx, server)
	case g.via != "" && server.Status != g.via:
		return true, &Error{Op: g.op, Err: fmt.Errorf("it came up and is %s already: its process has ended", server.Status), hint: fmt.Sprintf("'ndock logs %s' shows what it said", server.Name)}
	case c.failed(ctx, server.ID, g.request):
		return true, &Error{Op: g.op, Err: errors.New("it failed on the compute node"), RequestID: g.request, hint: "nova-compute's log has the reason, under this request"}
	}
	return false, nil
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
