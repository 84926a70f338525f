package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/instanceactions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/remoteconsoles"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"ndock/openstack/serial"
	"ndock/openstack/transport"
)

// Server is a server of Nova.
type Server struct {
	ID        string
	Name      string
	Status    string
	Task      string // what Nova is doing with it; empty when nothing
	Power     string
	Addresses map[string][]string // by network
	ImageID   string
	Flavor    string
	KeyName   string
	Metadata  map[string]string
	Created   time.Time
	Launched  time.Time // when it ran first; zero where it never has
	Fault     string    // why it is in ERROR
	Host      string    // administrators see it

	classes []string // of Placement, that its flavor asks for beyond those of each server
}

func serverFrom(found servers.Server) Server {
	imageID, _ := found.Image["id"].(string)
	flavor, _ := found.Flavor["original_name"].(string)
	specs, _ := found.Flavor["extra_specs"].(map[string]any)
	return Server{
		ID: found.ID, Name: found.Name, Status: found.Status, Task: found.TaskState, Power: found.PowerState.String(),
		Addresses: addresses(found.Addresses), ImageID: imageID, Flavor: flavor, KeyName: found.KeyName,
		Metadata: found.Metadata, Created: found.Created, Launched: found.LaunchedAt, Fault: found.Fault.Message, Host: found.Host,
		classes: classes(specs),
	}
}

func addresses(networks map[string]any) map[string][]string {
	all := map[string][]string{}
	for network, list := range networks {
		entries, _ := list.([]any)
		for _, entry := range entries {
			fields, _ := entry.(map[string]any)
			if address, ok := fields["addr"].(string); ok {
				all[network] = append(all[network], address)
			}
		}
	}
	return all
}

// Servers lists the project's servers.
func (c *Cloud) Servers(ctx context.Context) ([]Server, error) {
	return c.listServers(ctx, servers.ListOpts{})
}

// ServersOn lists the servers of all projects on a host; administrators may.
func (c *Cloud) ServersOn(ctx context.Context, host string) ([]Server, error) {
	return c.listServers(ctx, servers.ListOpts{AllTenants: true, Host: host})
}

func (c *Cloud) listServers(ctx context.Context, options servers.ListOptsBuilder) ([]Server, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	pages, err := servers.List(client, options).AllPages(ctx)
	if err != nil {
		return nil, explain("list servers", err)
	}
	found, err := servers.ExtractServers(pages)
	if err != nil {
		return nil, explain("list servers", err)
	}
	all := make([]Server, len(found))
	for i := range found {
		all[i] = serverFrom(found[i])
	}
	slices.SortFunc(all, func(a, b Server) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// newest asks for the newest servers of a status, one page of them.
type newest struct {
	status string
	limit  int
}

func (n newest) ToServerListQuery() (string, error) {
	return "?" + url.Values{"status": {n.status}, "limit": {strconv.Itoa(n.limit)}, "sort_key": {"created_at"}, "sort_dir": {"desc"}}.Encode(), nil
}

// NewestServers lists so many of the project's servers that have a status, the newest first.
func (c *Cloud) NewestServers(ctx context.Context, status string, limit int) ([]Server, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	var all []Server
	err = servers.List(client, newest{status, limit}).EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		found, err := servers.ExtractServers(page)
		for _, one := range found[:min(len(found), limit)] {
			all = append(all, serverFrom(one))
		}
		return false, err
	})
	if err != nil {
		return nil, explain("list servers", err)
	}
	return all, nil
}

// atOnce is how soon after its start a process has ended that never served.
const atOnce = time.Minute

// EndedAtOnce tells whether a server is off because its process ended soon after it was booted. Nova then records a stop that
// is no user's.
func (c *Cloud) EndedAtOnce(ctx context.Context, server Server) (bool, error) {
	client, err := c.nova()
	if err != nil {
		return false, err
	}
	pages, err := instanceactions.List(client, server.ID, nil).AllPages(ctx)
	if err != nil {
		return false, explain(fmt.Sprintf("list what was done with server %q", server.Name), err)
	}
	actions, err := instanceactions.ExtractInstanceActions(pages)
	if err != nil || len(actions) == 0 || server.Launched.IsZero() {
		return false, err
	}
	last := actions[0] // newest first
	return last.Action == "stop" && last.UserID == "" && last.StartTime.Sub(server.Launched) < atOnce, nil
}

// Server finds a server by name or id.
func (c *Cloud) Server(ctx context.Context, nameOrID string) (Server, error) {
	client, err := c.nova()
	if err != nil {
		return Server{}, err
	}
	return lookup[Server]{
		kind: "server",
		byID: func(ctx context.Context, id string) (Server, error) {
			found, err := servers.Get(ctx, client, id).Extract()
			if err != nil {
				return Server{}, err
			}
			return serverFrom(*found), nil
		},
		byName: c.serversNamed,
		id:     func(server Server) string { return server.ID },
		names:  namesIn(c.Servers, func(server Server) string { return server.Name }),
	}.find(ctx, nameOrID)
}

// serversNamed asks Nova, whose filter is a pattern, and keeps those whose name it is to the letter.
func (c *Cloud) serversNamed(ctx context.Context, name string) ([]Server, error) {
	all, err := c.Servers(ctx)
	return slices.DeleteFunc(all, func(server Server) bool { return server.Name != name }), err
}

// A Verb is something that Nova does with a server.
type Verb string

// The verbs.
const (
	Stop       Verb = "stop"
	Start      Verb = "start"
	Reboot     Verb = "reboot"
	HardReboot Verb = "reboot --hard"
	Pause      Verb = "pause"
	Unpause    Verb = "unpause"
	Delete     Verb = "delete"
)

// result is the status that a server reaches when the verb is done; empty for none any more.
func (v Verb) result() string {
	switch v {
	case Stop:
		return "SHUTOFF"
	case Pause:
		return "PAUSED"
	case Delete:
		return ""
	}
	return "ACTIVE"
}

// Act does something with servers, given by name or id, and if it shall wait, returns when that is done. One that fails
// does not keep the others from it.
func (c *Cloud) Act(ctx context.Context, verb Verb, wait Wait, servers ...string) error {
	var begun []action
	var refused []error
	for _, nameOrID := range servers {
		one, err := c.begin(ctx, verb, nameOrID)
		if err != nil {
			refused = append(refused, err)
		} else {
			begun = append(begun, one)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if !wait.Wanted {
		return errors.Join(refused...)
	}
	undone := together(len(begun), func(i int) error {
		_, err := c.await(ctx, begun[i].server, begun[i].goal, wait)
		return err
	})
	return errors.Join(errors.Join(refused...), undone)
}

// action is something that Nova has begun to do with a server.
type action struct {
	server string // its id
	goal   goal
}

func (c *Cloud) begin(ctx context.Context, verb Verb, nameOrID string) (action, error) {
	found, err := c.Server(ctx, nameOrID)
	if err != nil {
		return action{}, err
	}
	op := fmt.Sprintf("%s server %q", verb, nameOrID)
	request, err := c.send(ctx, verb, found.ID)
	if err != nil {
		return action{}, explain(op, err)
	}
	return action{found.ID, goal{op: op, status: verb.result(), request: request}}, nil
}

// send asks Nova for it and returns the request's id.
func (c *Cloud) send(ctx context.Context, verb Verb, id string) (string, error) {
	client, err := c.nova()
	if err != nil {
		return "", err
	}
	result, err := result(ctx, client, verb, id)
	if err != nil {
		return "", err
	}
	return transport.RequestID(result.Header), result.Err
}

func result(ctx context.Context, client *gophercloud.ServiceClient, verb Verb, id string) (gophercloud.ErrResult, error) {
	switch verb {
	case Stop:
		return servers.Stop(ctx, client, id).ErrResult, nil
	case Start:
		return servers.Start(ctx, client, id).ErrResult, nil
	case Reboot:
		return servers.Reboot(ctx, client, id, servers.RebootOpts{Type: servers.SoftReboot}).ErrResult, nil
	case HardReboot:
		return servers.Reboot(ctx, client, id, servers.RebootOpts{Type: servers.HardReboot}).ErrResult, nil
	case Pause:
		return servers.Pause(ctx, client, id).ErrResult, nil
	case Unpause:
		return servers.Unpause(ctx, client, id).ErrResult, nil
	case Delete:
		return servers.Delete(ctx, client, id).ErrResult, nil
	}
	return gophercloud.ErrResult{}, fmt.Errorf("%q is no verb for a server", verb)
}

// Console returns the last lines of a server's console log; 0 for all that Nova has.
func (c *Cloud) Console(ctx context.Context, nameOrID string, lines int) (string, error) {
	found, err := c.Server(ctx, nameOrID)
	if err != nil {
		return "", err
	}
	client, err := c.nova()
	if err != nil {
		return "", err
	}
	var asked servers.ShowConsoleOutputOpts
	if lines > 0 {
		asked.Length = lines + 1 // Nova counts what follows the last newline, which is nothing, as a line
	}
	text, err := servers.ShowConsoleOutput(ctx, client, found.ID, asked).Extract()
	if err != nil {
		return "", explain(fmt.Sprintf("console log of server %q", nameOrID), err)
	}
	return LastLines(text, lines), nil
}

// SerialConsole connects to a server's serial console, through Nova's proxy, with a token of its own.
func (c *Cloud) SerialConsole(ctx context.Context, serverID string) (*serial.Conn, error) {
	client, err := c.nova()
	if err != nil {
		return nil, err
	}
	op := "serial console of server " + serverID
	console, err := remoteconsoles.Create(ctx, client, serverID, remoteconsoles.CreateOpts{
		Protocol: remoteconsoles.ConsoleProtocolSerial, Type: remoteconsoles.ConsoleTypeSerial,
	}).Extract()
	if err != nil {
		return nil, noConsole(explain(op, err))
	}
	conn, err := c.consoles.Dial(ctx, console.URL)
	if err != nil {
		return nil, noAnswer(op, err)
	}
	return conn, nil
}

// noConsole adds what Nova's answer, without saying so, may mean.
func noConsole(err error) error {
	var refused *Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotImplemented:
		refused.hint = "its process has no terminal ('\"tty\": false'), or its host has no serial consoles ([serial_console] enabled in nova.conf); 'ndock logs' works all the same"
	case http.StatusConflict:
		refused.hint = "it does not run: 'ndock start' starts it, 'ndock unpause' lets it go on"
	}
	return refused
}

// TLS tells whether the cloud's Keystone is spoken to with TLS.
func (c *Cloud) TLS() bool { return strings.HasPrefix(c.provider.IdentityEndpoint, "https:") }

// LastLines leaves out what is before them; 0 leaves out nothing.
func LastLines(text string, count int) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if count == 0 || count >= len(lines) {
		return text
	}
	return strings.Join(lines[len(lines)-count:], "")
}

// lastRequest is the request id of what was done with the server last; empty when Nova does not tell.
func (c *Cloud) lastRequest(ctx context.Context, serverID string) string {
	client, err := c.nova()
	if err != nil {
		return ""
	}
	pages, err := instanceactions.List(client, serverID, nil).AllPages(ctx)
	if err != nil {
		return ""
	}
	actions, err := instanceactions.ExtractInstanceActions(pages)
	if err != nil || len(actions) == 0 {
		return ""
	}
	return actions[0].RequestID // newest first
}

// progress is how far Nova is with a request.
type progress int

const (
	running  progress = iota // or not known
	finished                 // whatever came of it
	failed
)

// progress tells how far Nova is with what was asked for by a request.
func (c *Cloud) progress(ctx context.Context, serverID, requestID string) progress {
	client, err := c.nova()
	if err != nil || requestID == "" {
		return running
	}
	action, err := instanceactions.Get(ctx, client, serverID, requestID).Extract()
	switch {
	case err != nil:
		return running
	case action.Message == "Error":
		return failed
	case action.Events == nil || len(*action.Events) == 0:
		return running
	}
	for _, event := range *action.Events {
		if event.FinishTime.IsZero() {
			return running
		}
	}
	return finished
}
