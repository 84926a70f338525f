package fakecloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

const noServer = "Instance %s could not be found."

// console is what every server has written.
var console = []string{"one\n", "two\n", "three\n"}

func (c *Cloud) nova(mux *http.ServeMux) {
	const one = "/compute/v2.1/servers/{id}"
	there := func(handle func(http.ResponseWriter, *http.Request, Object)) http.HandlerFunc {
		return c.authenticated(c.there(Server, noServer, refuse, handle))
	}
	mux.HandleFunc("GET /compute/v2.1/{$}", versions("v2.1"))
	mux.HandleFunc("GET /compute/v2.1/limits", c.authenticated(c.limits))
	mux.HandleFunc("GET /compute/v2.1/os-hypervisors/detail", c.authenticated(administrators(c.hypervisors, disallowed("os_compute_api:os-hypervisors:list-detail"))))
	mux.HandleFunc("GET /compute/v2.1/os-services", c.authenticated(administrators(c.services, disallowed("os_compute_api:os-services:list"))))
	c.list(mux, Flavor, "/compute/v2.1/flavors/detail")
	c.one(mux, Flavor, "/compute/v2.1/flavors/{id}", "Flavor %s could not be found.", refuse)
	mux.HandleFunc("GET /compute/v2.1/os-keypairs/{name}", c.authenticated(func(w http.ResponseWriter, r *http.Request, _ string) {
		if name := r.PathValue("name"); name != keyPair {
			refuse(w, http.StatusNotFound, fmt.Sprintf("Keypair %s not found for user", name))
			return
		}
		answer(w, http.StatusOK, Object{"keypair": Object{"name": keyPair}})
	}))
	c.list(mux, Server, "/compute/v2.1/servers/detail")
	c.one(mux, Server, one, noServer, refuse)
	mux.HandleFunc("POST /compute/v2.1/servers", c.authenticated(c.boot))
	mux.HandleFunc("POST "+one+"/action", there(c.act))
	mux.HandleFunc("POST "+one+"/remote-consoles", there(c.remoteConsole))
	mux.HandleFunc("DELETE "+one, there(func(w http.ResponseWriter, _ *http.Request, server Object) {
		c.turn(w, server, "deleting", func() {
			if c.faults[SoftDelete] {
				c.become(server, "SOFT_DELETED")
				return
			}
			c.become(server, "DELETED") // Nova has something to tidy up still
			c.later(func() { c.remove(Server, server) })
		})
	}))
	mux.HandleFunc("GET "+one+"/diagnostics", c.authenticated(administrators(c.there(Server, noServer, refuse, diagnostics), disallowed("os_compute_api:os-server-diagnostics"))))
	mux.HandleFunc("GET "+one+"/os-instance-actions/{request}", there(doneBy))
	mux.HandleFunc("GET "+one+"/os-instance-actions", there(done))
}

// disallowed is Nova's answer to who is no administrator.
func disallowed(policy string) handler {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		refuse(w, http.StatusForbidden, "Policy doesn't allow "+policy+" to be performed.")
	}
}

// doneBy is what was done with a server by one request.
func doneBy(w http.ResponseWriter, r *http.Request, server Object) {
	action := Object{"request_id": r.PathValue("request"), "start_time": "2026-01-02T03:04:06.000000", "updated_at": "2026-01-02T03:04:06.000000", "message": nil}
	event := Object{"event": "compute_act", "start_time": "2026-01-02T03:04:06.000000", "finish_time": nil, "result": nil}
	if server["failed"] == r.PathValue("request") {
		action["message"] = "Error"
	}
	if server["OS-EXT-STS:task_state"] == nil {
		event["finish_time"], event["result"] = "2026-01-02T03:04:07.000000", "Success"
	}
	action["events"] = []Object{event}
	answer(w, http.StatusOK, Object{"instanceAction": action})
}

// done is what was done with a server, the newest first.
func done(w http.ResponseWriter, _ *http.Request, server Object) {
	if actions, unusual := server["actions"]; unusual {
		answer(w, http.StatusOK, Object{"instanceActions": actions})
		return
	}
	answer(w, http.StatusOK, Object{"instanceActions": []Object{
		{"action": "last", "request_id": server["request"], "start_time": "2026-01-02T03:04:06.000000"},
		{"action": "first", "request_id": "req-first", "start_time": "2026-01-02T03:04:05.000000"},
	}})
}

// diagnostics are those of a server that runs. From version 2.48 on they have only what Nova knows of.
func diagnostics(w http.ResponseWriter, r *http.Request, server Object) {
	minor, _ := strconv.Atoi(strings.TrimPrefix(r.Header.Get("OpenStack-API-Version"), "compute 2."))
	switch {
	case server["status"] != "ACTIVE":
		refuse(w, http.StatusConflict, fmt.Sprintf("Cannot 'get_diagnostics' instance %s while it is in power state shutdown", server.id()))
	case minor >= 48:
		answer(w, http.StatusOK, Object{"state": "running", "driver": "libvirt"})
	default:
		answer(w, http.StatusOK, Object{"state": "running", "devices": server["devices"]})
	}
}

// hypervisors has a host that does not answer: up to version 2.87 Nova asks each one how long it runs.
func (c *Cloud) hypervisors(w http.ResponseWriter, r *http.Request, user string) {
	if minor, _ := strconv.Atoi(strings.TrimPrefix(r.Header.Get("OpenStack-API-Version"), "compute 2.")); minor < 88 {
		refuse(w, http.StatusInternalServerError, "Unexpected API Error. <class 'oslo_messaging.exceptions.MessagingTimeout'>")
		return
	}
	c.all(Hypervisor)(w, r, user)
}

// services are those of the hypervisors, and one of a host that is in no cell where a fault says so.
func (c *Cloud) services(w http.ResponseWriter, _ *http.Request, _ string) {
	one := func(host, state, status any) Object {
		return Object{"id": "s", "binary": "nova-compute", "host": host, "state": state, "status": status, "updated_at": "2026-01-02T03:04:05.000000"}
	}
	found := []Object{}
	for _, hypervisor := range c.objects[Hypervisor] {
		found = append(found, one(hypervisor["name"], hypervisor["state"], hypervisor["status"]))
	}
	if c.faults[HostUnmapped] {
		found = append(found, one("compute-new", "up", "enabled"))
	}
	answer(w, http.StatusOK, Object{"services": found})
}

func (c *Cloud) limits(w http.ResponseWriter, _ *http.Request, _ string) {
	used := len(c.objects[Server])
	if c.faults[QuotaExceeded] {
		used = 10
	}
	answer(w, http.StatusOK, Object{"limits": Object{"absolute": Object{
		"maxTotalInstances": 10, "totalInstancesUsed": used, "maxTotalCores": 20, "totalCoresUsed": used, "maxTotalRAMSize": -1, "totalRAMUsed": 64 * used,
	}}})
}

// keyPair is the only one that there is.
const keyPair = "mine"

// boot makes the servers that a request asks for. The request stays in them, for tests, as "asked".
func (c *Cloud) boot(w http.ResponseWriter, r *http.Request, _ string) {
	var body struct{ Server Object }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	asked := body.Server
	count, _ := asked["max_count"].(float64)
	switch key := asked["key_name"]; {
	case c.faults[QuotaExceeded]:
		refuse(w, http.StatusForbidden, "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances")
		return
	case key != nil && key != keyPair:
		refuse(w, http.StatusBadRequest, "Invalid key_name provided.")
		return
	}
	reservation := fmt.Sprintf("r-%d", c.requests)
	for n := range int(count) {
		server := Object{"name": asked["name"], "image": Object{"id": asked["imageRef"]}, "key_name": asked["key_name"], "reservation_id": reservation, "asked": asked}
		if asked["metadata"] != nil {
			server["metadata"] = asked["metadata"]
		}
		if count > 1 {
			server["name"] = fmt.Sprintf("%s-%d", asked["name"], n+1)
		}
		made := c.add(Server, server)
		c.begin(made.id())
		c.start(w, made, c.faults[BootFails] || c.faults[SecondFails] && n == 1)
	}
	c.begin(reservation)
	answer(w, http.StatusAccepted, Object{"reservation_id": reservation})
}

func (c *Cloud) start(w http.ResponseWriter, server Object, fails bool) {
	server["request"], server["OS-EXT-STS:task_state"] = w.Header().Get("X-Openstack-Request-Id"), "spawning"
	c.later(func() {
		if fails {
			c.become(server, "ERROR")
			server["fault"] = Object{"code": 500, "created": created, "message": "it is a qcow2 disk image, not a Docker archive"}
			return
		}
		c.become(server, "ACTIVE")
	})
}

func (c *Cloud) become(server Object, status string) {
	server["status"], server["OS-EXT-STS:task_state"] = status, nil
	server["OS-EXT-STS:power_state"] = map[string]int{"ACTIVE": 1, "PAUSED": 3, "SHUTOFF": 4}[status]
	if status == "ACTIVE" {
		server["addresses"] = Object{"private": []Object{{"addr": "192.0.2.10"}, {"addr": "2001:db8::10"}}}
	}
}

// turn accepts what then happens.
func (c *Cloud) turn(w http.ResponseWriter, server Object, task string, happen func()) {
	server["request"], server["OS-EXT-STS:task_state"] = w.Header().Get("X-Openstack-Request-Id"), task
	c.later(func() {
		if c.faults[ActionsFail] {
			server["failed"], server["OS-EXT-STS:task_state"] = server["request"], nil
			return
		}
		happen()
	})
	c.begin(server.id())
	w.WriteHeader(http.StatusAccepted)
}

// actions are Nova's: the status that a server must have, the task meanwhile, and the status in the end.
var actions = map[string]struct{ from, task, to string }{
	"os-stop": {"ACTIVE", "powering-off", "SHUTOFF"}, "os-start": {"SHUTOFF", "powering-on", "ACTIVE"},
	"pause": {"ACTIVE", "pausing", "PAUSED"}, "unpause": {"PAUSED", "unpausing", "ACTIVE"},
	"reboot": {"ACTIVE", "rebooting", "ACTIVE"},
}

func (c *Cloud) act(w http.ResponseWriter, r *http.Request, server Object) {
	var asked map[string]struct {
		Name   string
		Length int
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	for name, arguments := range asked {
		action, known := actions[name]
		switch {
		case name == "createImage":
			c.snapshot(w, server, arguments.Name)
		case name == "os-getConsoleOutput":
			text, unusual := server["console"].(string)
			if !unusual {
				text = strings.Join(console, "")
			}
			lines := strings.Split(text, "\n") // the last is empty, and Nova counts it
			from := 0
			if arguments.Length > 0 {
				from = max(0, len(lines)-arguments.Length)
			}
			answer(w, http.StatusOK, Object{"output": strings.Join(lines[from:], "\n")})
		case !known || action.from != server["status"]:
			refuse(w, http.StatusConflict, fmt.Sprintf("Cannot '%s' instance %s while it is in vm_state %s",
				strings.TrimPrefix(name, "os-"), server.id(), strings.ToLower(fmt.Sprint(server["status"]))))
		default:
			c.turn(w, server, action.task, func() {
				if c.faults[ProcessEnds] && action.to == "ACTIVE" {
					c.become(server, "SHUTOFF")
					return
				}
				c.become(server, action.to)
			})
		}
	}
}

func (c *Cloud) snapshot(w http.ResponseWriter, server Object, name string) {
	image := c.add(Image, Object{"name": name, "container_format": "docker"})
	server["request"] = w.Header().Get("X-Openstack-Request-Id")
	c.begin(image.id())
	c.later(func() {
		if c.faults[SnapshotVanishes] {
			c.remove(Image, image)
			return
		}
		image["status"], image["size"] = "active", 2048
	})
	answer(w, http.StatusAccepted, Object{"image_id": image.id()})
}
