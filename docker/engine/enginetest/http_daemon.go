package enginetest

import (
	"encoding/json"
	"net/http"

	"github.com/docker/docker/api/types/events"
)

func (e *Engine) daemonRoutes() map[string]handler {
	return map[string]handler{
		"GET /_ping": func(http.ResponseWriter, *http.Request) error { return nil },
		"GET /version": func(w http.ResponseWriter, r *http.Request) error {
			version, err := e.ServerVersion(r.Context())
			return answer(w, http.StatusOK, version, err)
		},
		"GET /info": func(w http.ResponseWriter, r *http.Request) error {
			info, err := e.Info(r.Context())
			return answer(w, http.StatusOK, info, err)
		},
		"GET /events": e.serveEvents,
	}
}

// serveEvents sends events until the client leaves, or the events fail.
func (e *Engine) serveEvents(w http.ResponseWriter, r *http.Request) error {
	by, err := wanted(r)
	if err != nil {
		return err
	}
	happened, failed := e.Events(r.Context(), events.ListOptions{Filters: by})
	out := json.NewEncoder(flushing{w})
	err = http.NewResponseController(w).Flush() // the client waits for the beginning of the answer
	for err == nil {
		select {
		case message := <-happened:
			err = out.Encode(message)
		case err = <-failed:
		case <-r.Context().Done():
			err = r.Context().Err()
		}
	}
	panic(http.ErrAbortHandler) // ends the connection where it is
}
