package server

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

// maxLifetime is the most that a console's port stays open for one request; a token of Nova's has 10 minutes.
const maxLifetime = 24 * time.Hour

// postSerial gives a server's console a port, and says who may come in there. Nova asks when a user wants the URL,
// and again when its proxy is about to connect.
func (s *Server) postSerial(_ http.ResponseWriter, r *http.Request) (any, error) {
	var asked agent.Serial
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	lifetime, err := lifetimeOf(asked)
	if err != nil {
		return nil, err
	}
	found, err := s.terminal(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	port, err := s.serial.open(r.PathValue("uuid"), asked.Address, asked.Ports, lifetime)
	if err != nil {
		return nil, err
	}
	path := port.tickets.add(found.ID, asked.Admit, lifetime)
	return agent.SerialPort{Port: port.number, Path: path}, nil
}

func lifetimeOf(asked agent.Serial) (time.Duration, error) {
	switch asked.Admit {
	case "", agent.AdmitPath, agent.AdmitNext:
	default:
		return 0, badRequest("admit %q is no way in", asked.Admit)
	}
	if asked.Lifetime < 1 {
		return 0, badRequest("lifetime %d is no number of seconds", asked.Lifetime)
	}
	return time.Duration(min(asked.Lifetime, int(maxLifetime.Seconds()))) * time.Second, nil
}

// terminal returns the server's container if someone can speak to its process.
func (s *Server) terminal(ctx context.Context, uuid string) (container.InspectResponse, error) {
	found, err := s.find(ctx, uuid)
	if err == nil {
		err = reachable(found)
	}
	return found, err
}

func reachable(found container.InspectResponse) error {
	switch {
	case !found.Config.Tty || !found.Config.OpenStdin:
		return conflict(agent.NoTerminal, "its process has no terminal")
	case found.State.Paused:
		return conflict(agent.NotRunning, "it is paused")
	case !found.State.Running:
		return conflict(agent.NotRunning, "it is not running")
	}
	return nil
}

var portRange = regexp.MustCompile(`^(\d{1,5}):(\d{1,5})$`)

// portsOfRange reads Nova's FIRST:END. Ports of the system's own services are no one's console.
func portsOfRange(text string) (first, end int, err error) {
	match := portRange.FindStringSubmatch(text)
	if match != nil {
		first, _ = strconv.Atoi(match[1]) // five digits are a number
		end, _ = strconv.Atoi(match[2])
	}
	if first < 1024 || first >= end || end > 65536 {
		return 0, 0, badRequest("%q is no range of ports from 1024 on", text)
	}
	return first, end, nil
}
