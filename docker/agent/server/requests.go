package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
)

// done is the answer of a verb.
type done struct{}

// get answers with what a function returns.
func get[T any](of func(ctx context.Context) (T, error)) handler {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) { return of(r.Context()) }
}

// getOf answers with what a function returns of the server of the path.
func getOf[T any](of func(ctx context.Context, uuid string) (T, error)) handler {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) { return of(r.Context(), r.PathValue("uuid")) }
}

// verb has something done to the server of the path.
func verb(do func(ctx context.Context, uuid string) error) handler {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		return done{}, do(r.Context(), r.PathValue("uuid"))
	}
}

// verbWith is verb for what the request's body says.
func verbWith[T any](do func(ctx context.Context, uuid string, body T) error) handler {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		var body T
		if err := read(r, &body); err != nil {
			return nil, err
		}
		return done{}, do(r.Context(), r.PathValue("uuid"), body)
	}
}

// stopVerb is verb for those that stop the server.
func stopVerb(do func(ctx context.Context, uuid string, how instance.Stop) error) handler {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		grace, err := graceOf(r)
		if err != nil {
			return nil, err
		}
		how := instance.Stop{Grace: grace, Commit: r.URL.Query().Get("commit") == "true"}
		return done{}, do(r.Context(), r.PathValue("uuid"), how)
	}
}

// The most that a request's JSON may have, in bytes: it can take fifty times as much memory. A new server has its config drive with
// it, in which are up to 64 KiB of user data, once for every version of the drive's layout. A port has up to 30 KiB, by its subnets,
// and is bounded in number.
const (
	bodyLimit     = 1 << 20
	longBodyLimit = 16 << 20
)

// read decodes the body of a request. An empty one leaves the value as it is.
func read(r *http.Request, into any) error {
	limit := int64(bodyLimit)
	switch into.(type) {
	case *agent.Spec, *agent.Ports:
		limit = longBodyLimit
	}
	err := json.NewDecoder(io.LimitReader(r.Body, limit)).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return agent.Faultf(agent.BadRequest, "the request's JSON: %v", err)
	}
	return nil
}

// maxGrace is the most that a process may be given to end by itself; Nova's own default is 60 s.
const maxGrace = 30 * time.Minute

// graceOf cuts off what is more than maxGrace: an image can ask for any time, and its server must still stop. It reads the URL
// alone: FormValue would read the body as well, and keep its files.
func graceOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("grace")
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0, agent.Faultf(agent.BadRequest, "grace %q is no number of seconds", text)
	}
	return time.Duration(min(seconds, int(maxGrace.Seconds()))) * time.Second, nil
}

// rootGBOf is the disk of the flavor that an image is for, in GiB; 0 for any.
func rootGBOf(r *http.Request) (int64, error) {
	query := r.URL.Query()
	if !query.Has("root_gb") {
		return 0, nil
	}
	gb, err := strconv.ParseInt(query.Get("root_gb"), 10, 32)
	if err != nil || gb < 0 {
		return 0, agent.Faultf(agent.BadRequest, "root_gb: %q is no size of a disk", query.Get("root_gb"))
	}
	return gb, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // it fails only when the caller is gone
}
