package fakecloud

import (
	"encoding/json"
	"net/http"
)

// metadefs serves namespaces of metadata definitions. Like Glance, it gives them back with more than it was given.
func (c *Cloud) metadefs(mux *http.ServeMux) {
	const all = "/image/v2/metadefs/namespaces"
	refused := func(w http.ResponseWriter, _ *http.Request, _ string) {
		refuseHTML(w, http.StatusForbidden, "You are not authorized to complete add_metadef_namespace action.")
	}
	found := func(handle func(w http.ResponseWriter, name string)) handler {
		return func(w http.ResponseWriter, r *http.Request, _ string) {
			name := r.PathValue("name")
			if c.namespaces[name] == nil {
				refuseHTML(w, http.StatusNotFound, "Metadata definition namespace not found")
				return
			}
			handle(w, name)
		}
	}
	mux.HandleFunc("GET "+all+"/{name}", c.authenticated(found(func(w http.ResponseWriter, name string) {
		answer(w, http.StatusOK, c.namespaces[name])
	})))
	mux.HandleFunc("DELETE "+all+"/{name}", c.authenticated(administrators(found(func(w http.ResponseWriter, name string) {
		delete(c.namespaces, name)
		w.WriteHeader(http.StatusNoContent)
	}), refused)))
	mux.HandleFunc("POST "+all, c.authenticated(administrators(func(w http.ResponseWriter, r *http.Request, _ string) {
		var asked Object
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			refuseHTML(w, http.StatusBadRequest, err.Error())
			return
		}
		name, _ := asked["namespace"].(string)
		if c.namespaces[name] != nil {
			refuseHTML(w, http.StatusConflict, "The metadata definition namespace="+name+" already exists.")
			return
		}
		asked["owner"], asked["schema"] = ProjectID, "/v2/schemas/metadefs/namespace"
		c.namespaces[name] = asked
		answer(w, http.StatusCreated, asked)
	}, refused)))
}
