// Package fakecloud is a small OpenStack for tests: Keystone, Glance, Nova and Neutron behind one HTTP server, with
// the answers and errors of the real ones as far as ndock looks at them. It is there for what a user reads: output,
// misuse, and faults that a healthy cloud does not show. That ndock works is proven on a real cloud instead.
//
// Ids and times are the same in every run. What servers do takes some requests; the clock that images have their times of is
// moved by Pass. What goes wrong is switched on with Break;
// what a command has left behind is seen with All.
package fakecloud

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// Cloud is a running fake.
type Cloud struct {
	URL string // of Keystone

	server   *httptest.Server
	mu       sync.Mutex // guards all below
	requests int
	faults   map[Fault]bool
	tokens   map[string]string // the user's name, by token
	objects  map[Kind][]Object // in the order of their creation
	made     map[Kind]int      // deleted ones too
	data     map[string][]byte // by image id
	pending  []*change
	clock    time.Time
	hiccups  map[string]bool   // the ids of what is answered for by 502 the next time
	consoles map[string]Object // the server, by token

	namespaces map[string]Object // of metadata definitions, by name
}

// Handler serves what the cloud's server does, without a connection.
func (c *Cloud) Handler() http.Handler { return c.server.Config.Handler }

// Object is one of a service's, with the properties that its JSON has.
type Object map[string]any

// Kind is what an object is: also its name in URLs and answers, with an s for many.
type Kind string

// The kinds.
const (
	Image      Kind = "image"
	Server     Kind = "server"
	Flavor     Kind = "flavor"
	Network    Kind = "network"
	Hypervisor Kind = "hypervisor"
	Agent      Kind = "agent" // of Neutron's

	SecurityGroup Kind = "security_group"
)

const created = "2026-01-02T03:04:05Z"

// Now is what the cloud's clock says.
func (c *Cloud) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock
}

// Pass lets time pass.
func (c *Cloud) Pass(time time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock = c.clock.Add(time)
}

func (c *Cloud) time() string { return c.clock.Format(time.RFC3339) }

// New starts a cloud with one flavor, m1.tiny, one network, private, one security group, default, and one compute node of Docker, compute-1.
func New() *Cloud {
	c := &Cloud{
		faults: map[Fault]bool{}, tokens: map[string]string{}, objects: map[Kind][]Object{}, made: map[Kind]int{},
		data: map[string][]byte{}, hiccups: map[string]bool{}, consoles: map[string]Object{}, namespaces: map[string]Object{},
	}
	c.clock, _ = time.Parse(time.RFC3339, created)
	mux := http.NewServeMux()
	c.keystone(mux)
	c.glance(mux)
	c.nova(mux)
	c.neutron(mux)
	c.placement(mux)
	mux.HandleFunc("GET /serial/{$}", c.serial)
	c.server = httptest.NewServer(c.identified(c.away(mux)))
	c.URL = c.server.URL + "/v3"
	c.Add(Flavor, "m1.tiny")
	c.Add(Network, "private")
	c.Add(SecurityGroup, "default")
	c.Add(Hypervisor, "compute-1")
	c.Add(Agent, "compute-1")
	return c
}

// Close ends it, and requests under way with it.
func (c *Cloud) Close() {
	c.server.CloseClientConnections()
	c.server.Close()
}

// Add makes an object that is ready for use, with properties that are not the usual ones, and returns its id.
func (c *Cloud) Add(kind Kind, name string, unusual ...Object) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	object := c.add(kind, Object{"name": name})
	switch kind {
	case Image:
		maps.Copy(object, Object{"status": "active", "container_format": "docker", "architecture": "x86_64", "size": 1024})
	case Server:
		c.become(object, "ACTIVE")
	case Hypervisor:
		maps.Copy(object, Object{"hypervisor_hostname": name, "service": Object{"id": object.id(), "host": name}})
	case Agent:
		object["host"] = name
	}
	for _, properties := range unusual {
		maps.Copy(object, properties)
	}
	return object.id()
}

// Remove takes away the objects of that name.
func (c *Cloud) Remove(kind Kind, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[kind] = slices.DeleteFunc(c.objects[kind], func(o Object) bool { return o["name"] == name })
}

// Change sets fields of an object.
func (c *Cloud) Change(kind Kind, id string, fields Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, object := range c.objects[kind] {
		if object.id() == id {
			maps.Copy(object, fields)
		}
	}
}

// All are the objects of a kind that are there.
func (c *Cloud) All(kind Kind) []Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Object
	for _, object := range c.objects[kind] {
		all = append(all, maps.Clone(object))
	}
	return all
}

// Data is what an image holds.
func (c *Cloud) Data(imageID string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data[imageID]
}

// Fill gives the images of that name these bytes.
func (c *Cloud) Fill(name string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, image := range c.objects[Image] {
		if image["name"] == name {
			sum := sha512.Sum512(data)
			c.data[image.id()] = data
			maps.Copy(image, Object{"size": len(data), "os_hash_algo": "sha512", "os_hash_value": hex.EncodeToString(sum[:])})
		}
	}
}

// Damage changes what is stored of an image, which Glance does not notice.
func (c *Cloud) Damage(imageID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data[imageID][0]++
}

func (o Object) id() string { return o["id"].(string) }

var firstDigits = map[Kind]int{Image: 1, Server: 2, Flavor: 3, Network: 4, Hypervisor: 5, Agent: 6, SecurityGroup: 7}

func (c *Cloud) add(kind Kind, object Object) Object {
	c.made[kind]++
	object["id"] = fmt.Sprintf("%d0000000-0000-4000-8000-%012d", firstDigits[kind], c.made[kind])
	defaults := map[Kind]Object{
		Image: {"status": "queued", "visibility": "shared", "owner": ProjectID, "size": nil, "created_at": c.time(), "updated_at": c.time(), "os_hidden": false},
		Server: {
			"status": "BUILD", "OS-EXT-STS:task_state": nil, "created": created, "addresses": Object{}, "metadata": Object{},
			"flavor": Object{"original_name": "m1.tiny"}, "image": Object{"id": "10000000-0000-4000-8000-000000000001"},
		},
		Flavor:        {"ram": 64, "vcpus": 1, "disk": 1},
		Network:       {"status": "ACTIVE", "admin_state_up": true, "shared": true, "subnets": []string{"one"}, "tenant_id": ProjectID},
		SecurityGroup: {"project_id": ProjectID},
		Hypervisor:    {"hypervisor_type": "docker", "hypervisor_version": 28000000, "state": "up", "status": "enabled", "traits": []string{"CUSTOM_NDOCK", "CUSTOM_NDOCK_LAYERS"}},
		Agent:         {"agent_type": "OVN Controller agent", "binary": "ovn-controller", "alive": true, "heartbeat_timestamp": "2026-01-02 03:04:05.678000+00:00"},
	}[kind]
	for key, value := range defaults {
		if _, given := object[key]; !given {
			object[key] = value
		}
	}
	c.objects[kind] = append(c.objects[kind], object)
	return object
}

func (c *Cloud) remove(kind Kind, object Object) {
	c.objects[kind] = slices.DeleteFunc(c.objects[kind], func(o Object) bool { return o.id() == object.id() })
}

// change is what becomes of an object after some more requests.
type change struct {
	requests int
	happen   func()
}

func (c *Cloud) later(happen func()) { c.pending = append(c.pending, &change{3, happen}) }

// pass lets time pass, by one request.
func (c *Cloud) pass() {
	var due []*change
	c.pending = slices.DeleteFunc(c.pending, func(next *change) bool {
		next.requests--
		if next.requests == 0 && !c.faults[NovaHangs] {
			due = append(due, next)
		}
		return next.requests == 0
	})
	for _, next := range due { // it may begin what happens later
		next.happen()
	}
}
