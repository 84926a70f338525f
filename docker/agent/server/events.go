package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
)

// heartbeat is how often the agent sends an event; the shim takes it for dead after four times that. So long the agent waits
// for a caller to read one.
const (
	heartbeat = 5 * time.Second
	patience  = 4 * heartbeat
)

// maxFollowers is how many can follow the events at a time. nova-compute does, once.
const maxFollowers = 16

var lifecycle = map[events.Action]string{
	events.ActionStart: "started", events.ActionDie: "stopped", events.ActionPause: "paused", events.ActionUnPause: "resumed",
}

// getEvents sends what happens to servers, a JSON object a line, until the caller leaves or Docker's events end. It begins
// with the servers that are stopped: that may have happened while nobody listened, as when the host was off.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) (any, error) {
	defer s.followers.Add(-1)
	if s.followers.Add(1) > maxFollowers {
		return nil, agent.Faultf(agent.BadRequest, "%d callers follow the events already: no more can", maxFollowers)
	}
	args := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", naming.LabelServer))
	for action := range lifecycle { // an event has all labels of its container, and each health check makes three
		args.Add("event", string(action))
	}
	happened, failed := s.engine.Events(r.Context(), events.ListOptions{Filters: args})
	instances, err := s.instances.Containers.List(r.Context())
	if err != nil {
		return nil, err // Docker is away: hello would be untrue
	}
	send := eventWriter(w)
	err = greet(send, instances)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for err == nil {
		select {
		case message := <-happened:
			if event, ok := translate(message); ok {
				err = send(event)
			}
		case <-beat.C:
			err = send(agent.Event{Event: "alive"})
		case err = <-failed:
			s.log.Warn("docker's events end", "reason", err)
			return nil, nil
		case <-s.closing.Done():
			return nil, nil
		}
	}
	return nil, nil // the caller has left
}

func greet(send func(agent.Event) error, instances []agent.Instance) error {
	err := send(agent.Event{Event: "hello"})
	for _, instance := range instances {
		if err == nil && instance.State == agent.Stopped {
			err = send(agent.Event{Event: "stopped", UUID: instance.UUID})
		}
	}
	return err
}

func translate(message events.Message) (agent.Event, bool) {
	uuid := message.Actor.Attributes[naming.LabelServer]
	event, known := lifecycle[message.Action]
	return agent.Event{Event: event, UUID: uuid}, known && message.Actor.Attributes["name"] == naming.Container(uuid)
}

func eventWriter(w http.ResponseWriter) func(agent.Event) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, control := json.NewEncoder(w), http.NewResponseController(w)
	return func(event agent.Event) error {
		err := control.SetWriteDeadline(time.Now().Add(patience))
		if err == nil {
			err = out.Encode(event)
		}
		if err != nil {
			return fmt.Errorf("send an event: %w", err)
		}
		return control.Flush()
	}
}
