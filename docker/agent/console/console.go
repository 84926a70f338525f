// Package console gives servers' serial consoles TCP ports, lets in whom Nova announced, and joins them to the terminal of
// the server's container.
package console

import (
	"context"
	"log/slog"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// maxLifetime is how long a console's port stays open for one request at most; Nova's tokens are valid for 10 minutes.
const maxLifetime = 24 * time.Hour

// Finder returns the container of a server, or a *agent.Fault.
type Finder func(ctx context.Context, uuid string) (container.InspectResponse, error)

// Consoles are those of this host's servers.
type Consoles struct {
	engine engine.Containers
	find   Finder
	log    *slog.Logger
	ports  *portSet
}

// New returns consoles that end when closing is done.
func New(closing context.Context, engine engine.Containers, find Finder, log *slog.Logger) *Consoles {
	s := &Consoles{engine: engine, find: find, log: log}
	s.ports = newPorts(closing, s.serve, log)
	return s
}

// Wait returns when all consoles have ended, after closing is done.
func (s *Consoles) Wait() { s.ports.sessions.Wait() }

// Open opens a port for a server's console and admits one connection, as asked. Nova asks when a user wants the URL, and
// again when its proxy is about to connect.
func (s *Consoles) Open(ctx context.Context, uuid string, asked agent.Serial) (agent.SerialPort, error) {
	lifetime, err := lifetimeOf(asked)
	if err != nil {
		return agent.SerialPort{}, err
	}
	if _, err := netip.ParseAddr(asked.Address); err != nil { // a name would be looked up, as long as that takes
		return agent.SerialPort{}, agent.Faultf(agent.BadRequest, "%q is no IP address: it is proxyclient_address in Nova's configuration", asked.Address)
	}
	found, err := s.find(ctx, uuid)
	if err == nil {
		err = reachable(found)
	}
	if err != nil {
		return agent.SerialPort{}, err
	}
	port, err := s.ports.open(uuid, asked.Address, asked.Ports, lifetime)
	if err != nil {
		return agent.SerialPort{}, err
	}
	path := port.admissions.add(found.ID, asked.Admit, lifetime)
	return agent.SerialPort{Port: port.number, Path: path}, nil
}

func lifetimeOf(asked agent.Serial) (time.Duration, error) {
	switch asked.Admit {
	case "", agent.AdmitPath, agent.AdmitNext:
	default:
		return 0, agent.Faultf(agent.BadRequest, "admit %q is no way in", asked.Admit)
	}
	if asked.Lifetime < 1 {
		return 0, agent.Faultf(agent.BadRequest, "lifetime %d is no number of seconds", asked.Lifetime)
	}
	return time.Duration(min(asked.Lifetime, int(maxLifetime.Seconds()))) * time.Second, nil
}

// reachable returns a fault for a container without a terminal, or one that does not run.
func reachable(found container.InspectResponse) error {
	switch {
	case !found.Config.Tty || !found.Config.OpenStdin:
		return agent.Faultf(agent.NoTerminal, "its process has no terminal")
	case found.State.Paused:
		return agent.Faultf(agent.NotRunning, "it is paused")
	case !found.State.Running:
		return agent.Faultf(agent.NotRunning, "it is not running")
	}
	return nil
}

var portRange = regexp.MustCompile(`^(\d{1,5}):(\d{1,5})$`)

// portsOfRange reads Nova's FIRST:END. Ports below 1024 are for the system's services.
func portsOfRange(text string) (first, end int, err error) {
	match := portRange.FindStringSubmatch(text)
	if match != nil {
		first, _ = strconv.Atoi(match[1]) // five digits are a number
		end, _ = strconv.Atoi(match[2])
	}
	if first < 1024 || first >= end || end > 65536 {
		return 0, 0, agent.Faultf(agent.BadRequest, "%q is no range of ports from 1024 on", text)
	}
	return first, end, nil
}
