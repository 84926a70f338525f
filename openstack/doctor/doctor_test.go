package doctor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ndock/openstack"
	"ndock/openstack/clouds"
)

// cloud answers as a test wants it: where a question has an error, with that.
type cloud struct {
	session     openstack.Session
	formats     openstack.Formats
	images      []openstack.Image
	machines    []openstack.Image
	hypervisors []openstack.Hypervisor
	flavors     []openstack.Flavor
	servers     openstack.ServerQuota
	networks    []openstack.Network
	ports       openstack.Quota
	agents      []openstack.Agent
	layers      int
	imageQuota  *openstack.Quota
	reserved    openstack.Reserved
	taken       string // the id that an image was asked for with
	services    []openstack.ComputeService
	unfit       func(flavor openstack.Flavor) bool // nil where each fits
	addresses   map[string]openstack.Addresses
	booted      []openstack.Server
	traits      []string         // of each hypervisor
	failing     map[string]error // by the check that asks
}

func (c *cloud) Session() openstack.Session { return c.session }

func (c *cloud) Reach(_ context.Context, service string) (string, error) {
	return "http://cloud/" + service + "/", c.failing[service]
}

func (c *cloud) Formats(context.Context) (openstack.Formats, error) {
	return c.formats, c.failing["formats"]
}

func (c *cloud) Images(context.Context) ([]openstack.Image, error) {
	return c.images, c.failing["images"]
}

func (c *cloud) MachineImages(context.Context) ([]openstack.Image, error) {
	return c.machines, c.failing["machines"]
}

func (c *cloud) Hypervisors(context.Context) ([]openstack.Hypervisor, error) {
	return c.hypervisors, c.failing["hypervisors"]
}

func (c *cloud) ImageCount(context.Context) (int, int, error) {
	return len(c.images), c.layers, c.failing["layers"]
}

func (c *cloud) ImageQuota(context.Context) (*openstack.Quota, error) {
	return c.imageQuota, c.failing["image quota"]
}

func (c *cloud) Reserved(_ context.Context, taken string) (openstack.Reserved, error) {
	c.taken = taken
	return c.reserved, c.failing["reserved"]
}

func (c *cloud) Traits(context.Context, string) ([]string, error) {
	return c.traits, c.failing["traits"]
}

func (c *cloud) Flavors(context.Context) ([]openstack.Flavor, error) {
	return c.flavors, c.failing["flavors"]
}

func (c *cloud) ComputeServices(context.Context) ([]openstack.ComputeService, error) {
	return c.services, c.failing["services"]
}

func (c *cloud) Fits(_ context.Context, flavor openstack.Flavor) (bool, error) {
	return c.unfit == nil || !c.unfit(flavor), c.failing["fits"]
}

func (c *cloud) Addresses(context.Context) (map[string]openstack.Addresses, error) {
	return c.addresses, c.failing["addresses"]
}

func (c *cloud) NewestServers(_ context.Context, status string, limit int) ([]openstack.Server, error) {
	found := kept(c.booted, func(server openstack.Server) bool { return server.Status == status })
	for i := range found {
		found[i].Fault = "" // as Nova's list may have it
	}
	return found[:min(len(found), limit)], c.failing["servers "+status]
}

func (c *cloud) Image(_ context.Context, nameOrID string) (openstack.Image, error) {
	for _, image := range c.images {
		if image.ID == nameOrID {
			return image, nil
		}
	}
	return openstack.Image{}, answered(404, "find image", "there is none")
}

func (c *cloud) Server(_ context.Context, nameOrID string) (openstack.Server, error) {
	at := slices.IndexFunc(c.booted, func(server openstack.Server) bool { return server.ID == nameOrID })
	return c.booted[at], c.failing["server"]
}

func (c *cloud) EndedAtOnce(_ context.Context, server openstack.Server) (bool, error) {
	return server.Name != "stopped", c.failing["actions"]
}

func (c *cloud) ServerQuota(context.Context) (openstack.ServerQuota, error) {
	return c.servers, c.failing["quota"]
}

func (c *cloud) Networks(context.Context) ([]openstack.Network, error) {
	return c.networks, c.failing["networks"]
}

func (c *cloud) PortQuota(context.Context) (openstack.Quota, error) {
	return c.ports, c.failing["ports"]
}

func (c *cloud) Agents(context.Context) ([]openstack.Agent, error) {
	return c.agents, c.failing["agents"]
}

func hypervisor(name, kind string) openstack.Hypervisor {
	return openstack.Hypervisor{Hostname: name, ServiceHost: name, Type: kind, State: "up", Status: "enabled"}
}

func image(name, hypervisor string) openstack.Image {
	return openstack.Image{ID: "id-" + name, Name: name, Status: "active", Size: 1, Owner: "p1", HypervisorType: hypervisor}
}

func network(name string) openstack.Network {
	return openstack.Network{ID: "id-" + name, Name: name, Project: "p1", Up: true, Subnets: 1}
}

func agent(kind, host string, alive bool) openstack.Agent {
	return openstack.Agent{Type: kind, Host: host, Program: "neutron-" + strings.ToLower(strings.Fields(kind)[0]), Alive: alive}
}

// sound is a cloud with nothing wrong, as its administrator sees it.
func sound() *cloud {
	return &cloud{
		session:     openstack.Session{User: "root", Project: "ops", ProjectID: "p1", Roles: []string{"admin", "member"}},
		formats:     openstack.Formats{Container: []string{"bare", "docker"}, Disk: []string{"raw"}},
		images:      []openstack.Image{image("web", "docker")},
		hypervisors: []openstack.Hypervisor{hypervisor("one", "docker")},
		flavors:     []openstack.Flavor{{Name: "big", RAM: 512, VCPUs: 2}, {Name: "tiny", RAM: 64, VCPUs: 1, Disk: 1}},
		servers:     openstack.ServerQuota{Instances: openstack.Quota{Limit: 10}, Cores: openstack.Quota{Limit: 20}, RAM: openstack.Quota{Limit: -1}},
		networks:    []openstack.Network{network("private")},
		ports:       openstack.Quota{Limit: 500},
		agents:      []openstack.Agent{agent("Linux bridge agent", "one", true), agent("DHCP agent", "two", true)},
		services:    []openstack.ComputeService{{Host: "one", Up: true}},
		addresses:   map[string]openstack.Addresses{"id-private": {4: {Total: 253, Used: 3}}},
		traits:      []string{"CUSTOM_NDOCK", "CUSTOM_NDOCK_LAYERS"},
		failing:     map[string]error{},
	}
}

// tenant is the same cloud, as a project sees it.
func tenant(c *cloud) {
	c.session.Roles = []string{"member"}
	c.failing["hypervisors"] = answered(http.StatusForbidden, "list hypervisors", "not you")
	for _, asked := range []string{"services", "fits"} {
		c.failing[asked] = c.failing["hypervisors"]
	}
	c.hypervisors, c.agents, c.addresses = nil, nil, nil
}

func answered(status int, op, message string) error {
	return &openstack.Error{Op: op, Status: status, RequestID: "req-1", Err: errors.New(message)}
}

func examined(t *testing.T, c *cloud) map[string]Finding {
	t.Helper()
	findings, err := Examine(t.Context(), func(context.Context) (Cloud, error) { return c, c.failing["login"] })
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Finding{}
	for _, finding := range findings {
		if finding.State == Failed && finding.Fix == "" {
			t.Errorf("no command fixes %+v", finding)
		}
		all[finding.Check] = finding
	}
	return all
}

func TestSound(t *testing.T) {
	t.Parallel()
	c := sound()
	findings := examined(t, c)
	if c.taken != "id-web" {
		t.Errorf("an image was asked for with the id %q, which is not taken", c.taken)
	}
	if len(findings) != len(checks()) {
		t.Errorf("%d findings of %d checks", len(findings), len(checks()))
	}
	for _, finding := range findings {
		if finding.State != OK || finding.Detail == "" || finding.Fix != "" {
			t.Errorf("a sound cloud has %+v", finding)
		}
	}
}

// wrong is one cloud, and what one check says of it.
type wrong struct {
	check  string
	change func(c *cloud)
	state  State
	detail string // a part of it
	fix    string
}

func wantFindings(t *testing.T, all map[string]wrong) {
	t.Helper()
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sound()
			test.change(c)
			got := examined(t, c)[test.check]
			if got.State != test.state || !strings.Contains(got.Detail, test.detail) || got.Fix != test.fix {
				t.Errorf("got  %+v\nwant %s, %q, %q", got, test.state, test.detail, test.fix)
			}
		})
	}
}

// TestFindings: each line is one cloud, and what one check says of it.
func TestFindings(t *testing.T) {
	t.Parallel()
	wantFindings(t, map[string]wrong{
		"no cloud named":  {"credentials", func(c *cloud) { c.failing["login"] = errors.New("who?") }, Failed, "who?", "openstack configuration show"},
		"a way to log in": {"credentials", func(c *cloud) { c.failing["login"] = &openstack.Error{Op: "use", Err: clouds.ErrLoginMethod} }, Failed, "cannot log in this way", "openstack application credential create NAME"},
		"wrong password":  {"credentials", func(c *cloud) { c.failing["login"] = answered(401, "log in", "no") }, Failed, "log in: no (req-1)", "openstack token issue"},
		"an unknown CA": {"credentials", func(c *cloud) {
			c.failing["login"] = &openstack.Error{Op: "log in", Err: errors.New("no"), Setting: clouds.SettingCA}
		}, Failed, "log in: no", "export OS_CACERT=FILE"},
		"no project":        {"credentials", func(c *cloud) { c.session.ProjectID = "" }, Failed, "user root is logged in, but to no project", "export OS_PROJECT_NAME=PROJECT"},
		"no endpoint":       {"placement", func(c *cloud) { c.failing["placement"] = openstack.ErrNoEndpoint }, Failed, "no such endpoint", "openstack endpoint create --region REGION placement public URL"},
		"no region":         {"nova", func(c *cloud) { c.failing["compute"] = openstack.ErrNoRegion }, Failed, "no such region", "export OS_REGION_NAME=REGION"},
		"a service is down": {"glance", func(c *cloud) { c.failing["image"] = answered(503, "ask", "away") }, Failed, "ask: away (req-1); glance is down, or", "openstack catalog show glance"},

		"a service is slow": {"nova", func(c *cloud) {
			c.failing["compute"] = &openstack.Error{Op: "ask", Err: context.DeadlineExceeded}
		}, Failed, "ask: context deadline exceeded; nova is down, or", "openstack catalog show nova"},
		"a question takes long": {"flavors", func(c *cloud) {
			c.failing["flavors"] = &openstack.Error{Op: "list", Err: context.DeadlineExceeded}
		}, Failed, "list: ", "ndock doctor --timeout 1m"},
		"a question is cut off": {"flavors", func(c *cloud) { c.failing["flavors"] = &openstack.Error{Op: "list", Err: io.EOF} }, Failed, "list: EOF", "openstack catalog list"},
		"a token has ended":     {"flavors", func(c *cloud) { c.failing["flavors"] = answered(401, "list", "no") }, Failed, "list: no", "openstack token issue"},
		"Keystone is down":      {"credentials", func(c *cloud) { c.failing["login"] = answered(503, "log in", "away") }, Failed, "log in: away", "ndock doctor --debug"},

		"no docker format":  {"formats", func(c *cloud) { c.formats.Container = []string{"bare", "ovf"} }, Failed, "no images of container format docker, only bare, ovf", "crudini --set /etc/glance/glance-api.conf image_format container_formats bare,ovf,docker && service glance-api restart"},
		"no raw format":     {"formats", func(c *cloud) { c.formats.Disk = []string{"qcow2"} }, Failed, "no images of disk format raw, only qcow2", "crudini --set /etc/glance/glance-api.conf image_format disk_formats qcow2,raw && service glance-api restart"},
		"formats not told":  {"formats", func(c *cloud) { c.failing["formats"] = answered(500, "ask", "oops") }, Failed, "ask: oops (req-1)", "ndock doctor --debug"},
		"a tenant's images": {"publishing", tenant, Warning, "the roles member may not make images public", "openstack image set --public IMAGE"},

		"layers":      {"layers", func(c *cloud) { c.layers = 3 }, OK, "the project has 1 Docker images in Glance, and 3 layers", ""},
		"many layers": {"layers", func(c *cloud) { c.layers = 500 }, Warning, "1 Docker images in Glance, and 500 layers: each upload is slow where Glance has a quota of bytes (user_storage_quota", "ndock image gc"},
		"a quota of bytes": {"layers", func(c *cloud) {
			c.layers, c.imageQuota = 500, &openstack.Quota{Limit: 1000, Used: 7}
		}, Warning, "for its quota image_size_total, of which 7 of 1000 MiB are used; 'ndock image prune' deletes", "ndock image gc"},
		"a quota that is not told": {"layers", func(c *cloud) {
			c.layers, c.failing["image quota"] = 500, answered(500, "look", "oops")
		}, Warning, "for which it looks at all of them (look: oops (req-1))", "ndock image gc"},
		"a quota of few images": {"layers", func(c *cloud) { c.failing["image quota"] = answered(500, "look", "oops") }, OK, "the project has 1", ""},
		"locations":             {"layers", func(c *cloud) { c.images[0].Located = true }, Warning, "shows where an image's bytes are", "crudini --set /etc/glance/glance-api.conf DEFAULT show_multiple_locations false && service glance-api restart"},

		"no image to ask with": {"pushing", func(c *cloud) { c.images = nil }, Unknown, "there is no image yet", ""},
		"a disk to ask with":   {"pushing", func(c *cloud) { c.images, c.machines = nil, []openstack.Image{image("vm", "qemu")} }, OK, "all properties that a push sets", ""},
		"no images for users":  {"pushing", func(c *cloud) { c.failing["reserved"] = answered(403, "try", "not you") }, Warning, "try: not you (req-1)", "openstack role add --project p1 --user USER member"},
		"no more images":       {"pushing", func(c *cloud) { c.failing["reserved"] = answered(413, "try", "image_count_total is over") }, Failed, "try: image_count_total is over", "ndock doctor --debug"},
		"layers are reserved": {"pushing", func(c *cloud) {
			c.reserved = openstack.Reserved{Properties: []string{"docker_layer", "trait:CUSTOM_NDOCK_LAYERS"}, Layered: true}
		}, Warning, "keep docker_layer, trait:CUSTOM_NDOCK_LAYERS for others: images are pushed without layers", "ndock image push-glance --whole IMAGE"},
		"properties are reserved": {"pushing", func(c *cloud) {
			c.reserved = openstack.Reserved{Properties: []string{"hypervisor_type"}}
		}, Failed, "keep hypervisor_type for others: nothing can be pushed", "crudini --get /etc/glance/glance-api.conf DEFAULT property_protection_file"},
		"no list of images to ask with": {"pushing", func(c *cloud) { c.failing["images"] = answered(500, "list", "oops") }, Failed, "list: oops", "ndock doctor --debug"},
		"an older host":                 {"layers", func(c *cloud) { c.traits = []string{"CUSTOM_NDOCK"} }, Warning, "images in layers do not boot on one, where ndock is older", "ndock node setup"},
		"traits not for all":            {"layers", func(c *cloud) { c.failing["traits"] = answered(403, "list the traits of one", "not you") }, OK, "the project has 1", ""},
		"traits not told":               {"layers", func(c *cloud) { c.failing["traits"] = answered(500, "list the traits of one", "oops") }, Failed, "list the traits of one: oops", "ndock doctor --debug"},
		"layers not told":               {"layers", func(c *cloud) { c.failing["layers"] = answered(500, "list images", "oops") }, Failed, "list images: oops", "ndock doctor --debug"},
		"layers for a tenant":           {"layers", tenant, OK, "the project has 1", ""},

		"hypervisors not for tenants": {"hypervisors", tenant, Unknown, "only an administrator", ""},
		"hypervisors not told":        {"hypervisors", func(c *cloud) { c.failing["hypervisors"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"no docker host":              {"hypervisors", func(c *cloud) { c.hypervisors, c.services = []openstack.Hypervisor{hypervisor("kvm", "QEMU")}, nil }, Failed, "no hypervisor is of type docker; 1 of type QEMU", "ndock node setup"},
		"the docker host is down":     {"hypervisors", func(c *cloud) { c.hypervisors[0].State = "down" }, Failed, "are up: none; down: one", "ndock node status"},
		"the docker host is disabled": {"hypervisors", func(c *cloud) { c.hypervisors[0].Status = "disabled" }, Failed, "are up: none; disabled: one", "openstack compute service set --enable one nova-compute"},
		"a docker host is down": {"hypervisors", func(c *cloud) {
			c.hypervisors = append(c.hypervisors, hypervisor("two", "docker"))
			c.hypervisors[0].State = "down"
		}, Warning, "are up: two; down: one", "ndock node status"},
		"a mixed cloud": {"hypervisors", mixed, OK, "are up: one; 1 of type QEMU", ""},

		"mixed, and all say where they belong": {"properties", func(c *cloud) { mixed(c); c.machines = []openstack.Image{image("vm", "qemu")} }, OK, "every image says", ""},
		"mixed, one Docker image says nothing": {"properties", func(c *cloud) { mixed(c); c.images[0].HypervisorType = "" }, Warning, "type QEMU: web", "openstack image set --property hypervisor_type=docker id-web"},
		"mixed, some Docker images say nothing": {"properties", func(c *cloud) {
			mixed(c)
			c.images = []openstack.Image{image("a", ""), image("b", "docker"), image("c", "qemu")}
		}, Warning, "type QEMU: a, c", "for image in id-a id-c; do openstack image set --property hypervisor_type=docker \"$image\"; done"},
		"mixed, a machine's image says nothing": {"properties", func(c *cloud) { mixed(c); c.machines = []openstack.Image{image("vm", "")} }, Warning, "type docker, where they fail: vm", "openstack image set --property hypervisor_type=qemu id-vm"},
		"mixed, machines' images not told":      {"properties", func(c *cloud) { mixed(c); c.failing["machines"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"not mixed, an image says nothing":      {"properties", func(c *cloud) { c.images[0].HypervisorType = "" }, OK, "no hypervisor is of another type", ""},
		"a tenant's image says nothing":         {"properties", func(c *cloud) { tenant(c); c.images[0].HypervisorType = "" }, Unknown, "is not known; if so, these images may be sent there: web", "openstack image set --property hypervisor_type=docker id-web"},
		"another's image says nothing": {"properties", func(c *cloud) {
			tenant(c)
			c.images[0].HypervisorType, c.images[0].Owner = "", "p2"
		}, OK, "every Docker image of the project", ""},

		"no flavor":        {"flavors", func(c *cloud) { c.flavors = nil }, Failed, "there is no flavor", "openstack flavor create --vcpus 1 --ram 512 --disk 5 m1.tiny"},
		"the smallest":     {"flavors", func(*cloud) {}, OK, "there are 2, of which tiny is the smallest", ""},
		"flavors not told": {"flavors", func(c *cloud) { c.failing["flavors"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"no quota of servers": {
			"quota", func(c *cloud) { c.servers.Instances.Used = 10 }, Failed, "10 of 10 servers are used and 1 more needed; delete servers, or",
			"openstack quota set --instances 11 p1",
		},
		"no quota of cores and memory": {"quota", func(c *cloud) {
			c.servers.Cores, c.servers.RAM = openstack.Quota{Limit: 4, Used: 4}, openstack.Quota{Limit: 100, Used: 50}
		}, Failed, "4 of 4 cores are used and 1 more needed; 50 of 100 MiB of memory are used and 64 more needed", "openstack quota set --cores 5 --ram 114 p1"},
		"quota not told": {"quota", func(c *cloud) { c.failing["quota"] = answered(500, "look", "oops") }, Failed, "oops", "ndock doctor --debug"},

		"no network":         {"networks", func(c *cloud) { c.networks = nil }, Failed, "no network that the project may use", "openstack network create private && openstack subnet create --network private --subnet-range 10.0.0.0/24 private"},
		"another's network":  {"networks", func(c *cloud) { c.networks[0].Project = "p2" }, Failed, "no network that the project may use", "openstack network create private && openstack subnet create --network private --subnet-range 10.0.0.0/24 private"},
		"a shared network":   {"networks", func(c *cloud) { c.networks[0].Project, c.networks[0].Shared = "p2", true }, OK, "one: private", ""},
		"only external ones": {"networks", func(c *cloud) { c.networks[0].External = true }, Failed, "no network that the project may use", "openstack network create private && openstack subnet create --network private --subnet-range 10.0.0.0/24 private"},
		"no subnet":          {"networks", func(c *cloud) { c.networks[0].Subnets = 0 }, Failed, "have no subnet: private", "openstack subnet create --network id-private --subnet-range 10.0.0.0/24 private"},
		"a network is down":  {"networks", func(c *cloud) { c.networks[0].Up = false }, Failed, "are down: private", "openstack network set --enable id-private"},
		"many networks": {"networks", func(c *cloud) {
			for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
				c.networks = append(c.networks, network(name))
			}
		}, OK, "may use 7, so that a boot must name one: private, b, c, d, e and 2 more", ""},
		"networks not told": {"networks", func(c *cloud) { c.failing["networks"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"no quota of ports": {"ports", func(c *cloud) { c.ports.Used = 500 }, Failed, "500 of 500 ports are used and 1 more needed", "openstack quota set --ports 501 p1"},
		"no quota at all":   {"ports", func(c *cloud) { c.failing["ports"] = answered(404, "look", "what?") }, Unknown, "does not tell its quota: look: what? (req-1)", ""},
		"ports not told":    {"ports", func(c *cloud) { c.failing["ports"] = answered(500, "look", "oops") }, Failed, "oops", "ndock doctor --debug"},

		"agents not for tenants":     {"agents", tenant, Unknown, "only an administrator", ""},
		"no agents at all":           {"agents", func(c *cloud) { c.failing["agents"] = answered(404, "list", "what?") }, Unknown, "has no agents", ""},
		"agents not told":            {"agents", func(c *cloud) { c.failing["agents"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"nobody wires":               {"agents", func(c *cloud) { c.agents = c.agents[1:] }, Failed, "need an agent that wires ports: one has none", "openstack network agent list"},
		"nobody anywhere":            {"agents", func(c *cloud) { c.agents = nil }, Failed, "one has none", "openstack network agent list"},
		"nobody, and no docker host": {"agents", func(c *cloud) { c.agents, c.hypervisors = nil, nil }, Unknown, "tells of no agent", ""},
		"who wires is dead":          {"agents", func(c *cloud) { c.agents[0].Alive = false }, Failed, "Linux bridge agent on one is dead", "service neutron-linux restart"},
		"who wires is dead, and so is the host": {"agents", func(c *cloud) {
			c.agents[0].Alive, c.hypervisors[0].State = false, "down"
		}, Warning, "dead: Linux bridge agent on one", "service neutron-linux restart"},
		"another is dead": {"agents", func(c *cloud) { c.agents[1].Alive = false }, Warning, "dead: DHCP agent on two", "service neutron-dhcp restart"},

		"no image":            {"images", func(c *cloud) { c.images = nil }, Failed, "there is no Docker image in Glance", "ndock image push-glance IMAGE"},
		"an image is queued":  {"images", func(c *cloud) { c.images[0].Status = "queued" }, Failed, "no Docker image in Glance can be booted", "ndock image push-glance IMAGE"},
		"an image is empty":   {"images", func(c *cloud) { c.images[0].Size = 0 }, Failed, "can be booted", "ndock image push-glance IMAGE"},
		"an image for others": {"images", func(c *cloud) { c.images[0].HypervisorType = "qemu" }, Failed, "another hypervisor_type: web", "ndock image push-glance IMAGE"},
		"images not told":     {"images", func(c *cloud) { c.failing["images"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
	})
}

// mixed adds a hypervisor of virtual machines.
func mixed(c *cloud) { c.hypervisors = append(c.hypervisors, hypervisor("kvm", "QEMU")) }

// TestWaiting: a check that builds on one that failed says so, and asks nothing.
func TestWaiting(t *testing.T) {
	t.Parallel()
	for broken, waiting := range map[string]map[string]string{
		"login":   {"glance": "credentials", "publishing": "credentials", "formats": "glance", "images": "formats", "quota": "flavors", "servers": "nova"},
		"image":   {"formats": "glance", "pushing": "glance", "properties": "glance", "images": "formats", "layers": "glance"},
		"compute": {"cells": "nova", "hypervisors": "nova", "properties": "nova", "flavors": "nova", "quota": "flavors", "room": "hypervisors", "servers": "nova"},
		"network": {"networks": "neutron", "addresses": "networks", "ports": "neutron", "agents": "neutron", "mappings": "networks"},
		"formats": {"images": "formats"},
		"flavors": {"quota": "flavors", "room": "flavors"},
	} {
		c := sound()
		c.failing[broken] = errors.New("no")
		findings := examined(t, c)
		for check, on := range waiting {
			if got := findings[check]; got.State != Unknown || got.Detail != "waits for "+on {
				t.Errorf("without %s: %+v, want it to wait for %s", broken, got, on)
			}
		}
		count := 0
		for _, finding := range findings {
			if strings.HasPrefix(finding.Detail, "waits for ") {
				count++
			}
		}
		if broken != "login" && count != len(waiting) {
			t.Errorf("without %s %d checks wait, want %d", broken, count, len(waiting))
		}
	}
}

// TestOrder: what a check waits for comes before it.
func TestOrder(t *testing.T) {
	t.Parallel()
	var seen []string
	for _, next := range checks() {
		for _, name := range next.after {
			if !slices.Contains(seen, name) {
				t.Errorf("%s waits for %s, which is not before it", next.name, name)
			}
		}
		seen = append(seen, next.name)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	_, err := Examine(ctx, func(context.Context) (Cloud, error) { interrupt(); return sound(), nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
}

// TestBusyCloud: a cloud that has had too many requests has answered, and is told to have.
func TestBusyCloud(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	t.Setenv("OS_AUTH_URL", server.URL+"/v3")
	t.Setenv("OS_USERNAME", "u")
	t.Setenv("OS_PASSWORD", "x")
	_, err := openstack.Open(t.Context(), openstack.Selection{Timeout: 200 * time.Millisecond})
	if got := reason(err); !strings.Contains(got, "Too Many Requests; it asks to wait for 1h0m0s") {
		t.Errorf("it says %s", got)
	}
}
