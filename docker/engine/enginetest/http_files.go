package enginetest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
)

func (e *Engine) fileRoutes() map[string]handler {
	return map[string]handler{
		"HEAD /containers/{id}/archive": e.serveStat,
		"GET /containers/{id}/archive":  e.serveCopyOut,
		"PUT /containers/{id}/archive":  e.serveCopyIn,
	}
}

// describe puts what is known of a file where Docker's client looks for it.
func describe(w http.ResponseWriter, stat container.PathStat, err error) error {
	if err != nil {
		return err
	}
	text, err := json.Marshal(stat)
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(text))
	return err
}

func (e *Engine) serveStat(w http.ResponseWriter, r *http.Request) error {
	stat, err := e.ContainerStatPath(r.Context(), r.PathValue("id"), r.FormValue("path"))
	return describe(w, stat, err)
}

func (e *Engine) serveCopyOut(w http.ResponseWriter, r *http.Request) error {
	content, stat, err := e.CopyFromContainer(r.Context(), r.PathValue("id"), r.FormValue("path"))
	return stream(w, content, describe(w, stat, err))
}

func (e *Engine) serveCopyIn(w http.ResponseWriter, r *http.Request) error {
	err := e.CopyToContainer(r.Context(), r.PathValue("id"), r.URL.Query().Get("path"), r.Body, container.CopyToContainerOptions{})
	return done(w, http.StatusOK, err)
}

func (e *Engine) volumeRoutes() map[string]handler {
	return map[string]handler{
		"POST /volumes/create": func(w http.ResponseWriter, r *http.Request) error {
			var options volume.CreateOptions
			if err := json.NewDecoder(r.Body).Decode(&options); err != nil {
				return err
			}
			made, err := e.VolumeCreate(r.Context(), options)
			return answer(w, http.StatusCreated, made, err)
		},
		"GET /volumes/{name}": func(w http.ResponseWriter, r *http.Request) error {
			found, err := e.VolumeInspect(r.Context(), r.PathValue("name"))
			return answer(w, http.StatusOK, found, err)
		},
		"DELETE /volumes/{name}": func(w http.ResponseWriter, r *http.Request) error {
			return done(w, http.StatusNoContent, e.VolumeRemove(r.Context(), r.PathValue("name"), is(r, "force")))
		},
	}
}
