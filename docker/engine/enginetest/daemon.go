package enginetest

import (
	"context"
	"maps"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/system"
)

func (e *Engine) ClientVersion() string { return e.API }

func (e *Engine) ServerVersion(context.Context) (types.Version, error) {
	return types.Version{Version: "20.10.24+dfsg1", APIVersion: e.API}, e.did("ServerVersion", "")
}

func (e *Engine) Info(context.Context) (system.Info, error) {
	return e.SystemInfo, e.did("Info", "")
}

// listener is one who follows the events.
type listener struct {
	wants    filters.Args
	messages chan events.Message
}

// maxUnheard is how many events wait for a listener. It misses what comes beyond.
const maxUnheard = 256

func (e *Engine) Events(_ context.Context, options events.ListOptions) (<-chan events.Message, <-chan error) {
	_ = e.did("Events", strings.Join(options.Filters.Get("label"), ","))
	e.Mu.Lock()
	defer e.Mu.Unlock()
	one := listener{options.Filters, make(chan events.Message, maxUnheard)}
	e.listeners = append(e.listeners, one)
	return one.messages, e.Failed
}

// Happen tells all who listen of an event of containers.
func (e *Engine) Happen(message events.Message) {
	e.Mu.Lock()
	defer e.Mu.Unlock()
	e.happen(message)
}

func (e *Engine) happen(message events.Message) {
	for _, one := range e.listeners {
		if !one.wants.ExactMatch("type", string(message.Type)) || !one.wants.MatchKVList("label", message.Actor.Attributes) {
			continue
		}
		select {
		case one.messages <- message:
		default:
		}
	}
}

// tell is happen for what was done to a container.
func (e *Engine) tell(action events.Action, to container.InspectResponse) {
	attributes := map[string]string{}
	maps.Copy(attributes, to.Config.Labels)
	attributes["name"] = strings.TrimPrefix(to.Name, "/")
	e.happen(events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: to.ID, Attributes: attributes}})
}
