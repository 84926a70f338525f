package fakecloud

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// refusal is a service's way to say no.
type refusal func(w http.ResponseWriter, status int, message string)

// handler serves a request that a known user makes, and holds the lock.
type handler func(w http.ResponseWriter, r *http.Request, user string)

// identified gives every request its id, as oslo.middleware does.
func (c *Cloud) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests++
		w.Header().Set("X-Openstack-Request-Id", fmt.Sprintf("req-00000000-0000-4000-8000-%012d", c.requests))
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// away answers for a service that does not.
func (c *Cloud) away(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/image/") && c.broken(GlanceAway) {
			refuseHTML(w, http.StatusServiceUnavailable, "No server is available to handle this request.")
			return
		}
		if strings.HasPrefix(r.URL.Path, "/network/") {
			c.waitForMend(r.Context(), NeutronHangs)
		}
		next.ServeHTTP(w, r)
	})
}

// waitForMend waits until a fault is mended, or who asks has gone.
func (c *Cloud) waitForMend(ctx context.Context, fault Fault) {
	for c.broken(fault) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *Cloud) authenticated(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		user := c.tokens[r.Header.Get("X-Auth-Token")]
		if user == "" || c.faults[TokensExpired] {
			refuse(w, http.StatusUnauthorized, "The request you have made requires authentication.")
			return
		}
		c.pass()
		w.Header().Set("X-Openstack-Nova-Api-Version", "2.79") // of Nova only; nobody else's clients mind
		handle(w, r, user)
	}
}

// list serves all objects of a kind that the query lets through.
func (c *Cloud) list(mux *http.ServeMux, kind Kind, path string) {
	mux.HandleFunc("GET "+path, c.authenticated(c.all(kind)))
}

func (c *Cloud) all(kind Kind) handler {
	return func(w http.ResponseWriter, r *http.Request, _ string) {
		if c.hiccup(r.URL.Query().Get("reservation_id")) {
			refuse(w, http.StatusBadGateway, "The server returned an invalid or incomplete response.")
			return
		}
		found := []Object{}
		for _, object := range c.objects[kind] {
			if matches(object, r.URL.Query()) {
				found = append(found, object)
			}
		}
		answer(w, http.StatusOK, Object{string(kind) + "s": found})
	}
}

// administrators are served; others are told something else.
func administrators(serve, others handler) handler {
	return func(w http.ResponseWriter, r *http.Request, user string) {
		if user == "admin" {
			serve(w, r, user)
			return
		}
		others(w, r, user)
	}
}

// one serves the object that the path names, under its kind.
func (c *Cloud) one(mux *http.ServeMux, kind Kind, path, missing string, no refusal) {
	mux.HandleFunc("GET "+path, c.authenticated(c.there(kind, missing, no, func(w http.ResponseWriter, _ *http.Request, found Object) {
		answer(w, http.StatusOK, Object{string(kind): found})
	})))
}

// there looks for the object that the path names.
func (c *Cloud) there(kind Kind, missing string, no refusal, handle func(http.ResponseWriter, *http.Request, Object)) handler {
	return func(w http.ResponseWriter, r *http.Request, _ string) {
		for _, object := range c.objects[kind] {
			if object.id() == r.PathValue("id") {
				if r.Method == http.MethodGet && c.hiccup(object.id()) {
					no(w, http.StatusBadGateway, "The server returned an invalid or incomplete response.")
					return
				}
				handle(w, r, object)
				return
			}
		}
		no(w, http.StatusNotFound, fmt.Sprintf(missing, r.PathValue("id")))
	}
}

// begin has the next question about what has this id answered by 502, if that is to go wrong.
func (c *Cloud) begin(id string) {
	if c.faults[Hiccups] {
		c.hiccups[id] = true
	}
}

// hiccup tells whether this is that question.
func (c *Cloud) hiccup(id string) bool {
	asked := c.hiccups[id]
	delete(c.hiccups, id)
	return asked
}

func matches(object Object, query map[string][]string) bool {
	order := []string{"sort", "sort_key", "sort_dir", "marker", "limit", "all_tenants"}
	for key, values := range query {
		value, known := object[key]
		text, _ := value.(string)
		if !slices.Contains(order, key) && (!known || !slices.Contains(wanted(values[0]), text)) {
			return false
		}
	}
	return true
}

// quotedValue is one of several in Glance's filters.
var quotedValue = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

// wanted returns the values that a filter lets through: those of in:"one","other", and else the only one.
func wanted(filter string) []string {
	list, several := strings.CutPrefix(filter, "in:")
	if !several {
		return []string{strings.TrimPrefix(filter, "eq:")}
	}
	var all []string
	for _, match := range quotedValue.FindAllStringSubmatch(list, -1) {
		all = append(all, strings.ReplaceAll(match[1], `\"`, `"`))
	}
	return all
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone needs no answer
}

// refuse is Keystone's way, and Nova's.
func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, Object{"error": Object{"code": status, "title": http.StatusText(status), "message": message}})
}

// refuseHTML is Glance's way: JSON for whoever asks for it, as gophercloud does, and in it what is left of a page.
func refuseHTML(w http.ResponseWriter, status int, message string) {
	text := http.StatusText(status)
	body, _ := json.Marshal(Object{"message": message + "<br /><br />\n\n\n", "code": fmt.Sprintf("%d %s", status, text), "title": text})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
