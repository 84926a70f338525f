package enginetest

import (
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
)

// imageRoutes has a name at the end of its patterns, because it may have slashes in it; what follows it is cut off.
func (e *Engine) imageRoutes() map[string]handler {
	return map[string]handler{
		"GET /images/json":         e.serveImageList,
		"GET /images/get":          e.serveSave,
		"GET /images/{name...}":    e.serveImageInspect,
		"POST /images/load":        e.serveLoad,
		"POST /images/create":      e.serveImport,
		"POST /images/{name...}":   e.serveTag,
		"DELETE /images/{name...}": e.serveImageRemove,
	}
}

func (e *Engine) serveImageList(w http.ResponseWriter, r *http.Request) error {
	by, err := wanted(r)
	if err != nil {
		return err
	}
	all, err := e.ImageList(r.Context(), image.ListOptions{All: is(r, "all"), Filters: by})
	return answer(w, http.StatusOK, all, err)
}

func (e *Engine) serveSave(w http.ResponseWriter, r *http.Request) error {
	content, err := e.ImageSave(r.Context(), r.URL.Query()["names"])
	return stream(w, content, err)
}

func (e *Engine) serveImageInspect(w http.ResponseWriter, r *http.Request) error {
	found, err := e.ImageInspect(r.Context(), strings.TrimSuffix(r.PathValue("name"), "/json"))
	return answer(w, http.StatusOK, found, err)
}

func (e *Engine) serveLoad(w http.ResponseWriter, r *http.Request) error {
	loaded, err := e.ImageLoad(r.Context(), r.Body)
	w.Header().Set("Content-Type", "application/json")
	return stream(w, loaded.Body, err)
}

func (e *Engine) serveImport(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	name, err := familiar(query.Get("repo"))
	if err != nil {
		return err
	}
	progress, err := e.ImageImport(r.Context(), image.ImportSource{Source: r.Body}, name, image.ImportOptions{Changes: query["changes"]})
	return stream(w, progress, err)
}

func (e *Engine) serveTag(w http.ResponseWriter, r *http.Request) error {
	target, err := familiar(r.FormValue("repo") + ":" + r.FormValue("tag"))
	if err != nil {
		return err
	}
	return done(w, http.StatusCreated, e.ImageTag(r.Context(), strings.TrimSuffix(r.PathValue("name"), "/tag"), target))
}

// familiar is a name as Docker shows it, without the registry that it stands for.
func familiar(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", errdefs.ErrInvalidArgument.WithMessage(err.Error())
	}
	return reference.FamiliarString(named), nil
}

func (e *Engine) serveImageRemove(w http.ResponseWriter, r *http.Request) error {
	gone, err := e.ImageRemove(r.Context(), r.PathValue("name"), image.RemoveOptions{Force: is(r, "force"), PruneChildren: !is(r, "noprune")})
	return answer(w, http.StatusOK, gone, err)
}
