package enginetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/docker/docker/api/types/container"
)

func (e *Engine) containerRoutes() map[string]handler {
	return map[string]handler{
		"GET /containers/json":         e.serveContainerList,
		"POST /containers/create":      e.serveContainerCreate,
		"GET /containers/{id}/json":    e.serveContainerInspect,
		"GET /containers/{id}/stats":   e.serveStats,
		"GET /containers/{id}/logs":    e.serveLogs,
		"POST /containers/{id}/attach": e.serveAttach,
		"DELETE /containers/{id}":      e.serveContainerRemove,
		"POST /commit":                 e.serveCommit,
	}
}

func (e *Engine) serveContainerList(w http.ResponseWriter, r *http.Request) error {
	by, err := wanted(r)
	if err != nil {
		return err
	}
	all, err := e.ContainerList(r.Context(), container.ListOptions{All: is(r, "all"), Size: is(r, "size"), Filters: by})
	return answer(w, http.StatusOK, all, err)
}

func (e *Engine) serveContainerCreate(w http.ResponseWriter, r *http.Request) error {
	var wanted container.CreateRequest
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
		return err
	}
	made, err := e.ContainerCreate(r.Context(), wanted.Config, wanted.HostConfig, nil, nil, r.FormValue("name"))
	return answer(w, http.StatusCreated, made, err)
}

func (e *Engine) serveContainerInspect(w http.ResponseWriter, r *http.Request) error {
	found, err := e.ContainerInspect(r.Context(), r.PathValue("id"))
	return answer(w, http.StatusOK, found, err)
}

func (e *Engine) serveStats(w http.ResponseWriter, r *http.Request) error {
	stats, err := e.ContainerStatsOneShot(r.Context(), r.PathValue("id"))
	return stream(w, stats.Body, err)
}

func (e *Engine) serveLogs(w http.ResponseWriter, r *http.Request) error {
	log, err := e.ContainerLogs(r.Context(), r.PathValue("id"), container.LogsOptions{Tail: r.FormValue("tail")})
	return stream(w, log, err)
}

func (e *Engine) serveContainerRemove(w http.ResponseWriter, r *http.Request) error {
	return done(w, http.StatusNoContent, e.ContainerRemove(r.Context(), r.PathValue("id"), container.RemoveOptions{Force: is(r, "force")}))
}

func (e *Engine) serveCommit(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	made, err := e.ContainerCommit(r.Context(), query.Get("container"), container.CommitOptions{Pause: query.Get("pause") != "0", Changes: query["changes"]})
	return answer(w, http.StatusCreated, made, err)
}

// serveAttach joins the client's connection with the container's terminal.
func (e *Engine) serveAttach(w http.ResponseWriter, r *http.Request) error {
	attached, err := e.ContainerAttach(r.Context(), r.PathValue("id"), container.AttachOptions{Stream: is(r, "stream"), Stdin: is(r, "stdin"), Stdout: is(r, "stdout")})
	if err != nil {
		return err
	}
	defer attached.Close()
	conn, input, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	go func() {
		defer attached.Close()
		_, _ = io.Copy(attached.Conn, input) // until the client leaves
	}()
	_, _ = io.Copy(conn, attached.Conn) // until the process ends
	return nil
}

func (e *Engine) verbRoutes() map[string]handler {
	return map[string]handler{
		"POST /containers/{id}/start": verb(func(r *http.Request, id string) error {
			return e.ContainerStart(r.Context(), id, container.StartOptions{})
		}),
		"POST /containers/{id}/stop": verb(func(r *http.Request, id string) error {
			return e.ContainerStop(r.Context(), id, stopOptions(r))
		}),
		"POST /containers/{id}/pause":   verb(func(r *http.Request, id string) error { return e.ContainerPause(r.Context(), id) }),
		"POST /containers/{id}/unpause": verb(func(r *http.Request, id string) error { return e.ContainerUnpause(r.Context(), id) }),
		"POST /containers/{id}/rename": verb(func(r *http.Request, id string) error {
			return e.ContainerRename(r.Context(), id, r.FormValue("name"))
		}),
		"POST /containers/{id}/resize": verb(func(r *http.Request, id string) error {
			return e.ContainerResize(r.Context(), id, container.ResizeOptions{Width: number(r, "w"), Height: number(r, "h")})
		}),
	}
}

// verb is a handler for what is done to one container.
func verb(do func(r *http.Request, id string) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return done(w, http.StatusNoContent, do(r, r.PathValue("id")))
	}
}

func stopOptions(r *http.Request) container.StopOptions {
	seconds, err := strconv.Atoi(r.FormValue("t"))
	if err != nil {
		return container.StopOptions{}
	}
	return container.StopOptions{Timeout: &seconds}
}

func number(r *http.Request, name string) uint {
	value, _ := strconv.ParseUint(r.FormValue(name), 10, 32) // of Docker's client, which sends a number
	return uint(value)
}
