package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// A server's container is known by its name and its label together: an image can bring labels, but no name.
const (
	namePrefix  = "ndock-"
	labelServer = "ndock.server"
	labelName   = "ndock.name"
	labelImage  = "ndock.image"
	labelOwner  = "ndock.project"
	labelDomain = "ndock.domain"
)

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// specLimit is the most that a spec or a list of ports may have, in bytes: user data may have 64 KiB, and is on a
// config drive once for every version of its layout.
const specLimit = 16 << 20

func (s *Server) getInstances(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.instances(r.Context())
}

// getServers answers with the ids of all servers that have a container, be it one that is set aside.
func (s *Server) getServers(_ http.ResponseWriter, r *http.Request) (any, error) {
	held, err := s.withContainers(r.Context())
	return slices.AppendSeq([]string{}, maps.Keys(held)), err
}

func (s *Server) instances(ctx context.Context) ([]agent.Instance, error) {
	found, err := s.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelServer))})
	if err != nil {
		return nil, err
	}
	instances := []agent.Instance{}
	for _, c := range found {
		if uuid := c.Labels[labelServer]; isServer(c) {
			instances = append(instances, agent.Instance{UUID: uuid, Name: c.Labels[labelName], ContainerID: c.ID, State: state(c.State)})
		}
	}
	return instances, nil
}

func isServer(c container.Summary) bool {
	return len(c.Names) == 1 && c.Labels[labelServer] != "" && c.Names[0] == "/"+namePrefix+c.Labels[labelServer]
}

func (s *Server) getInstance(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := s.find(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	return agent.Instance{
		UUID: r.PathValue("uuid"), Name: found.Config.Labels[labelName], ContainerID: found.ID,
		State: state(found.State.Status), ExitCode: found.State.ExitCode, OOMKilled: outOfMemory(found.State),
	}, nil
}

// state reads Docker's word for it. A container that was never started is a server that is switched off.
func state(docker container.ContainerState) agent.State {
	switch docker {
	case container.StateRunning, container.StateRestarting:
		return agent.Running
	case container.StatePaused:
		return agent.Paused
	case container.StateDead:
		return agent.Crashed
	}
	return agent.Stopped
}

// find returns the server's container, or a fault.
func (s *Server) find(ctx context.Context, uuid string) (container.InspectResponse, error) {
	if !uuidPattern.MatchString(uuid) {
		return container.InspectResponse{}, badRequest("%q is no server's id", uuid)
	}
	return s.findNamed(ctx, namePrefix+uuid, uuid)
}

func (s *Server) findNamed(ctx context.Context, name, uuid string) (container.InspectResponse, error) {
	found, err := s.docker.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) || err == nil && found.Config.Labels[labelServer] != uuid {
		return container.InspectResponse{}, noSuchInstance(uuid)
	}
	return found, err
}

// alone runs a verb of one server while no other of its verbs runs.
func (s *Server) alone(r *http.Request, verb func(ctx context.Context, uuid string) error) (any, error) {
	uuid := r.PathValue("uuid")
	if !uuidPattern.MatchString(uuid) {
		return nil, badRequest("%q is no server's id", uuid)
	}
	release, err := s.servers.acquire(r.Context(), uuid)
	if err != nil {
		return nil, err
	}
	defer release()
	return struct{}{}, verb(r.Context(), uuid)
}

// holding runs a verb alone, on the container that the server has.
func (s *Server) holding(r *http.Request, verb func(ctx context.Context, found container.InspectResponse) error) (any, error) {
	return s.alone(r, func(ctx context.Context, uuid string) error {
		found, err := s.find(ctx, uuid)
		if err != nil {
			return err
		}
		return verb(ctx, found)
	})
}

func (s *Server) start(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.alone(r, func(ctx context.Context, uuid string) error {
		found, err := s.revive(ctx, uuid)
		if err != nil {
			return err
		}
		return s.startFound(ctx, found)
	})
}

func (s *Server) startFound(ctx context.Context, found container.InspectResponse) error {
	if found.State.Paused {
		return s.thaw(ctx, found)
	}
	if err := errors.Join(s.unmark(found.Config.Labels[labelServer]), s.refreshNames(found)); err != nil {
		return err
	}
	if !found.State.Running {
		if err := s.checkAccounts(ctx, found.ID); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	if err := s.run(ctx, found.ID); err != nil {
		return fmt.Errorf("start: %w", tenantsFault(err))
	}
	return nil
}

// run starts a container. One with a terminal that ended while Docker Engine was away, with live-restore, may fail once:
// the engine (20.10) then hangs up the new terminal in place of the old one.
func (s *Server) run(ctx context.Context, id string) error {
	err := s.docker.ContainerStart(ctx, id, container.StartOptions{})
	if err != nil && strings.Contains(err.Error(), "cannot start a container that has stopped") {
		return s.docker.ContainerStart(ctx, id, container.StartOptions{})
	}
	return err
}

// end lets the process go within grace, by its stop signal, and then without asking. Grace 0 does not ask.
func (s *Server) end(ctx context.Context, found container.InspectResponse, grace time.Duration) error {
	if !found.State.Running {
		return nil
	}
	if found.State.Paused { // a frozen process hears no signal
		if err := s.docker.ContainerUnpause(ctx, found.ID); err != nil {
			return err
		}
	}
	if err := s.unmark(found.Config.Labels[labelServer]); err != nil {
		return err
	}
	seconds := int(grace.Seconds())
	err := s.docker.ContainerStop(ctx, found.ID, container.StopOptions{Timeout: &seconds})
	if errdefs.IsNotModified(err) {
		return nil
	}
	return err
}

func (s *Server) stop(_ http.ResponseWriter, r *http.Request) (any, error) {
	grace, err := graceOf(r)
	if err != nil {
		return nil, err
	}
	return s.holding(r, func(ctx context.Context, found container.InspectResponse) error {
		return s.endFor(ctx, r, found, grace)
	})
}

// endFor ends the container for what the request says: with commit=true an image is made of its files next, and where none
// can be made it is refused, and the container not stopped.
func (s *Server) endFor(ctx context.Context, r *http.Request, found container.InspectResponse, grace time.Duration) error {
	if r.URL.Query().Get("commit") == "true" {
		if err := s.committable(ctx, found.ID); err != nil {
			return err
		}
	}
	return s.end(ctx, found, grace)
}

func (s *Server) restart(_ http.ResponseWriter, r *http.Request) (any, error) {
	grace, err := graceOf(r)
	if err != nil {
		return nil, err
	}
	return s.alone(r, func(ctx context.Context, uuid string) error {
		found, err := s.revive(ctx, uuid)
		if err != nil {
			return err
		}
		if err := s.end(ctx, found, grace); err != nil {
			return err
		}
		found.State.Running, found.State.Paused = false, false
		return s.startFound(ctx, found)
	})
}

func (s *Server) pause(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.holding(r, func(ctx context.Context, found container.InspectResponse) error {
		return s.freeze(ctx, found)
	})
}

// freeze has a server neither run nor answer. If the agent had it frozen already, it is now whoever asks for this. A server
// that cannot be silenced runs on, unless it was paused before.
func (s *Server) freeze(ctx context.Context, found container.InspectResponse) error {
	paused := found.State.Paused && !s.isMarked(found.Config.Labels[labelServer])
	if err := s.unmark(found.Config.Labels[labelServer]); err != nil {
		return err
	}
	ports, err := s.portsOf(found.Config.Labels[labelServer])
	if err != nil {
		return err
	}
	if !found.State.Paused {
		if err := s.docker.ContainerPause(ctx, found.ID); err != nil {
			return err
		}
	}
	err = network.Silence(ports, network.Holder(found.ID))
	if !errors.Is(err, os.ErrNotExist) || paused {
		return err
	}
	// Its network is not to be found, and it could not be let run again either.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick) // also when the request is over
	defer cancel()
	return errors.Join(err, s.docker.ContainerUnpause(ctx, found.ID))
}

func (s *Server) thaw(ctx context.Context, found container.InspectResponse) error {
	ports, err := s.fittingPorts(found.Config.Labels[labelServer])
	if err != nil {
		return err
	}
	if err := network.Connect(ports, network.Holder(found.ID)); err != nil {
		return err
	}
	if err := s.docker.ContainerUnpause(ctx, found.ID); err != nil {
		return err
	}
	return s.unmark(found.Config.Labels[labelServer])
}

func (s *Server) unpause(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.holding(r, func(ctx context.Context, found container.InspectResponse) error {
		if !found.State.Paused {
			return nil
		}
		return s.thaw(ctx, found)
	})
}

// maxGrace is the most that a process may be given to end by itself; Nova's own default is 60 s.
const maxGrace = 30 * time.Minute

// graceOf cuts off what is more than maxGrace: an image can ask for any time, and its server must still stop.
func graceOf(r *http.Request) (time.Duration, error) {
	seconds, err := strconv.Atoi(r.FormValue("grace"))
	if err != nil || seconds < 0 {
		return 0, badRequest("grace %q is no number of seconds", r.FormValue("grace"))
	}
	return time.Duration(min(seconds, int(maxGrace.Seconds()))) * time.Second, nil
}

// read decodes the body of a request.
func read(r *http.Request, into any) error {
	err := json.NewDecoder(io.LimitReader(r.Body, specLimit)).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return badRequest("the request's JSON: %v", err)
	}
	return nil
}
