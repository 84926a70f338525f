package fakecloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
)

// placement has the hypervisors as resource providers, with what their properties "traits" and "allocations" say. One that
// is "busy" has its traits changed by someone else the next time that they are to be changed.
func (c *Cloud) placement(mux *http.ServeMux) {
	mux.HandleFunc("GET /placement/resource_providers", c.authenticated(func(w http.ResponseWriter, r *http.Request, _ string) {
		found := []Object{}
		for _, hypervisor := range c.objects[Hypervisor] {
			if id := hypervisor.id(); id == r.URL.Query().Get("uuid") {
				found = append(found, Object{"uuid": id, "name": hypervisor["name"], "generation": c.generation(hypervisor)})
			}
		}
		answer(w, http.StatusOK, Object{"resource_providers": found})
	}))
	mux.HandleFunc("GET /placement/allocation_candidates", c.authenticated(administrators(c.candidates, func(w http.ResponseWriter, _ *http.Request, _ string) {
		refusePlacement(w, http.StatusForbidden, "placement:allocation_candidates:list")
	})))
	const one = "/placement/resource_providers/{id}"
	there := func(handle func(http.ResponseWriter, *http.Request, Object)) http.HandlerFunc {
		return c.authenticated(administrators(c.there(Hypervisor, "No resource provider with uuid %s found", refusePlacement, handle), func(w http.ResponseWriter, _ *http.Request, _ string) {
			refusePlacement(w, http.StatusForbidden, "placement:resource_providers:list")
		}))
	}
	traits := func(w http.ResponseWriter, provider Object) {
		answer(w, http.StatusOK, Object{"traits": provider["traits"], "resource_provider_generation": c.generation(provider)})
	}
	mux.HandleFunc("GET "+one+"/allocations", there(func(w http.ResponseWriter, _ *http.Request, provider Object) {
		answer(w, http.StatusOK, Object{"allocations": provider["allocations"], "resource_provider_generation": c.generation(provider)})
	}))
	mux.HandleFunc("GET "+one+"/traits", there(func(w http.ResponseWriter, _ *http.Request, provider Object) { traits(w, provider) }))
	mux.HandleFunc("PUT "+one+"/traits", there(func(w http.ResponseWriter, r *http.Request, provider Object) {
		var asked struct {
			Traits     []string
			Generation int `json:"resource_provider_generation"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			refusePlacement(w, http.StatusBadRequest, err.Error())
			return
		}
		if provider["busy"] == true {
			provider["busy"], provider["generation"] = false, c.generation(provider)+1
		}
		if asked.Generation != c.generation(provider) {
			refusePlacement(w, http.StatusConflict, "resource provider generation conflict")
			return
		}
		provider["traits"], provider["generation"] = asked.Traits, asked.Generation+1
		traits(w, provider)
	}))
}

// candidates are the hypervisors, which have room for servers of up to 100 GiB, and no traits but the usual ones.
func (c *Cloud) candidates(w http.ResponseWriter, r *http.Request, _ string) {
	disk, _ := strconv.Atoi(regexp.MustCompile(`DISK_GB:(\d+)|$`).FindStringSubmatch(r.URL.Query().Get("resources"))[1])
	required := r.URL.Query().Get("required")
	requests := []Object{}
	switch {
	case required != "!COMPUTE_STATUS_DISABLED,CUSTOM_NDOCK":
		refusePlacement(w, http.StatusBadRequest, "No such trait(s): "+required+".")
		return
	case disk <= 100:
		for range c.objects[Hypervisor] {
			requests = append(requests, Object{"allocations": Object{}})
		}
	}
	answer(w, http.StatusOK, Object{"allocation_requests": requests, "provider_summaries": Object{}})
}

func (c *Cloud) generation(provider Object) int {
	generation, _ := provider["generation"].(int)
	return generation
}

func refusePlacement(w http.ResponseWriter, status int, message string) {
	answer(w, status, Object{"errors": []Object{{
		"status": status, "title": http.StatusText(status), "detail": fmt.Sprintf("The server could not comply with the request.\n\n %s  ", message),
	}}})
}
