package doctor

import (
	"strings"
	"testing"
	"time"

	"ndock/openstack"
)

const (
	more      = "openstack subnet create --network id-private --subnet-range RANGE NAME"
	otherBoot = "ndock boot --image id-web --flavor FLAVOR NAME -- COMMAND"
)

// TestBeforeTheFirstBoot: what will keep a server from booting is named before anyone tries.
func TestBeforeTheFirstBoot(t *testing.T) {
	t.Parallel()
	wantFindings(t, map[string]wrong{
		"the only host is in no cell":     {"cells", func(c *cloud) { c.hypervisors = nil }, Failed, "nova-compute runs on one, which no cell has", discover},
		"and is no hypervisor":            {"hypervisors", func(c *cloud) { c.hypervisors = nil }, Failed, "a host that no cell has may be one, see cells", discover},
		"a further host is in no cell":    {"cells", func(c *cloud) { c.services = append(c.services, openstack.ComputeService{Host: "two", Up: true}) }, Warning, "runs on two, which no cell has", discover},
		"a host is gone":                  {"cells", func(c *cloud) { c.services = append(c.services, openstack.ComputeService{Host: "two"}) }, OK, "is mapped", ""},
		"cells for a tenant":              {"cells", tenant, Unknown, "only an administrator may list compute services", ""},
		"cells without hypervisors":       {"cells", func(c *cloud) { c.failing["hypervisors"] = answered(403, "list", "not you") }, Unknown, "may list hypervisors", ""},
		"services not told":               {"cells", func(c *cloud) { c.failing["services"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"hypervisors not told to cells":   {"cells", func(c *cloud) { c.failing["hypervisors"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"Docker Engine is down on a host": {"hypervisors", engineDown, Failed, "down: one (Docker Engine does not answer), where the command says why", "ndock node status"},

		"one flavor is too large": {"room", func(c *cloud) { c.flavors[0].Disk = 100; c.unfit = wide }, Warning, "no host can take a server of flavor big: it lacks 100 GiB of disk", "ndock boot --image IMAGE --flavor tiny NAME"},
		"two flavors are too large": {"room", func(c *cloud) {
			c.flavors = append(c.flavors, openstack.Flavor{Name: "huge", RAM: 600, Disk: 200})
			c.flavors[0].Disk, c.unfit = 100, wide
		}, Warning, "of flavor big: it lacks 100 GiB of disk; nor of huge", "ndock boot --image IMAGE --flavor tiny NAME"},
		"all hosts are full":             {"room", func(c *cloud) { c.unfit = func(openstack.Flavor) bool { return true } }, Failed, "for tiny it lacks 1 VCPU, 64 MiB of memory, 1 GiB of disk; delete servers", "ndock node setup"},
		"each host lacks something":      {"room", func(c *cloud) { c.unfit = func(f openstack.Flavor) bool { return f.RAM > 0 && f.VCPUs > 0 } }, Failed, "it lacks all of it at once", "ndock node setup"},
		"a trait that no host has":       {"room", func(c *cloud) { c.flavors[0], c.unfit = fast(), picky }, Warning, "no host has what the extra specs of flavor fast ask for: resources:PGPU, trait:CUSTOM_FAST", "openstack flavor unset --property resources:PGPU --property trait:CUSTOM_FAST f1"},
		"only traits that no host has":   {"room", func(c *cloud) { c.flavors, c.unfit = []openstack.Flavor{fast()}, picky }, Failed, "extra specs of flavor fast", "openstack flavor unset --property resources:PGPU --property trait:CUSTOM_FAST f1"},
		"a flavor for others":            {"room", func(c *cloud) { mixed(c); c.flavors[0], c.unfit = fast(), picky }, OK, "a server of flavor tiny; flavors that none can take may be for others", ""},
		"room for a tenant":              {"room", tenant, Unknown, "waits for hypervisors", ""},
		"room not for all administrator": {"room", func(c *cloud) { c.failing["fits"] = answered(403, "look", "not you") }, Unknown, "only an administrator", ""},
		"room not told":                  {"room", func(c *cloud) { c.failing["fits"] = answered(500, "look", "oops") }, Failed, "oops", "ndock doctor --debug"},

		"no address is free":       {"addresses", func(c *cloud) { c.addresses["id-private"] = used() }, Failed, "have no free addresses: private", more},
		"one network has none":     {"addresses", func(c *cloud) { c.networks = append(c.networks, network("b")); c.addresses["id-private"] = used() }, Warning, "networks without free addresses: private", more},
		"another's network":        {"addresses", func(c *cloud) { c.addresses["id-b"] = used() }, OK, "has free addresses", ""},
		"addresses for a tenant":   {"addresses", tenant, Unknown, "only an administrator", ""},
		"addresses refused":        {"addresses", func(c *cloud) { c.failing["addresses"] = answered(403, "list", "not you") }, Unknown, "only an administrator", ""},
		"no such list":             {"addresses", func(c *cloud) { c.failing["addresses"] = answered(404, "list", "what?") }, Unknown, "does not tell", ""},
		"addresses not told":       {"addresses", func(c *cloud) { c.failing["addresses"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"no physical network":      {"mappings", unmapped("Linux bridge agent"), Warning, "Linux bridge agent on one lacks physnet1 of network private", "crudini --set /etc/neutron/plugins/ml2/linuxbridge_agent.ini linux_bridge physical_interface_mappings a:br-a,physnet1:INTERFACE && service neutron-linux restart"},
		"an agent that tells none": {"mappings", func(c *cloud) { c.networks[0].Physical = "physnet1" }, OK, "have the physical networks", ""},
		"the physical network":     {"mappings", func(c *cloud) { unmapped("Open vSwitch agent")(c); c.networks[0].Physical = "a" }, OK, "have the physical networks", ""},
		"mappings for a tenant":    {"mappings", tenant, Unknown, "waits for agents", ""},
		"servers not told":         {"servers", func(c *cloud) { c.failing["servers ERROR"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"servers off not told":     {"servers", func(c *cloud) { c.failing["servers SHUTOFF"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"actions not told":         {"servers", func(c *cloud) { off(c, "web"); c.failing["actions"] = answered(500, "list", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"server not told":          {"servers", func(c *cloud) { off(c, "web"); c.failing["server"] = answered(500, "show", "oops") }, Failed, "oops", "ndock doctor --debug"},
		"a server that is off":     {"servers", func(c *cloud) { off(c, "stopped") }, OK, "none is in ERROR", ""},
		"a process ended at once":  {"servers", func(c *cloud) { off(c, "web") }, Warning, "web failed: its process ended at once; a server runs as long as its command, and 'ndock logs id-server' shows", otherBoot},
		"several servers":          {"servers", func(c *cloud) { off(c, "later"); failed(c, "sudden") }, Warning, "later failed: its process ended at once; a server runs as long as its command, and 'ndock logs id-server' shows what that said; before that, web", otherBoot},
		"a failure of another day": {"servers", func(c *cloud) { failed(c, "Something new") }, Warning, "web failed: Something new", "ndock show id-web"},
		"no reason":                {"servers", func(c *cloud) { failed(c, "") }, Warning, "web failed: Nova does not say why", "ndock show id-web"},
		"a reason of many lines":   {"servers", func(c *cloud) { failed(c, "a\x1b[31mred\nline\u202e") }, Warning, "web failed: a [31mred line ", "ndock show id-web"},
		"a long reason":            {"servers", func(c *cloud) { failed(c, strings.Repeat("é", 400)) }, Warning, "failed: " + strings.Repeat("é", 300) + "…", "ndock show id-web"},
	})
}

// TestCauses: each line is a fault that Nova shows of a server, and what is said of it.
func TestCauses(t *testing.T) {
	t.Parallel()
	const noHost = "No valid host was found. There are not enough hosts available."
	const exhausted = "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance 1."
	for name, test := range map[string]struct {
		fault  string
		change func(c *cloud)
		detail string // a part of it
		fix    string
	}{
		"no cell":                   {"Host 'one' is not mapped to any cell", nil, "that is mapped to no cell", discover},
		"Glance has a disk":         {"Build of instance 1 aborted: Image 2 is unacceptable: it is a qcow2 disk image, not a Docker archive", nil, "web failed: it is a qcow2 disk image, not a Docker archive; its image's bytes are no Docker archive", "ndock image push-glance IMAGE"},
		"Glance has half":           {"Build of instance 1 aborted: Image 2 is unacceptable: it is cut off", nil, "no Docker archive", "ndock image push-glance IMAGE"},
		"Glance lacks a layer":      {"Build of instance 1 aborted: Image 2 is unacceptable: its layer sha256:1 is not in Glance: delete the image, push again", nil, "lacks a layer", "ndock image push-glance --force IMAGE"},
		"other processors":          {"Image 2 is unacceptable: it is for linux/arm64, and this host is linux/amd64", nil, "made for other processors", "ndock image push-glance --force --platform linux/amd64 IMAGE"},
		"a fault that is cut off":   {"Image 2 is unacceptable: it is for linux/arm64, and this host is linux/", nil, "this host is linux/", "ndock show id-web"},
		"no command":                {"Build of instance 1 aborted: Image 2 is unacceptable: No command specified", nil, "no such command, or none", otherBoot},
		"another command":           {`exec: "bush": executable file not found in $PATH`, nil, "no such command, or none", otherBoot},
		"no address":                {"Build of instance 1 aborted: Failed to allocate the network(s) with error No fixed IP addresses available for network: n, not rescheduling.", nil, "has no free address", "openstack subnet create --network NETWORK --subnet-range RANGE NAME"},
		"no wire":                   {"Build of instance 1 aborted: Failed to allocate the network(s), not rescheduling.", nil, "could not wire its port", "openstack network agent list --host HOST"},
		"no wire, and a dead agent": {"Binding failed for port 3, please check neutron logs for more information.", func(c *cloud) { c.agents[0].Alive = false }, "could not wire its port", "service neutron-linux restart"},
		"another hypervisor_type":   {noHost, func(c *cloud) { c.images[0].HypervisorType = "qemu" }, "its image is for hypervisor_type qemu", "openstack image set --property hypervisor_type=docker id-web"},
		"a flavor without host":     {noHost, func(c *cloud) { c.flavors[0].Disk = 100; c.unfit = wide }, "no host can take a server of flavor big, see room", "ndock boot --image IMAGE --flavor tiny NAME"},
		"a flavor of others":        {noHost, func(c *cloud) { mixed(c); c.flavors[0].Disk = 100; c.unfit = wide }, "flavor big, see room", "ndock boot --image id-web --flavor FLAVOR NAME"},
		"no host in a cell":         {noHost, func(c *cloud) { c.hypervisors = nil }, "see cells", discover},
		"a disabled host":           {noHost, func(c *cloud) { c.hypervisors[0].Status = "disabled" }, "see hypervisors", "openstack compute service set --enable one nova-compute"},
		"full hosts":                {"No valid host was found. ", func(c *cloud) { c.flavors = c.flavors[1:]; c.unfit = func(openstack.Flavor) bool { return true } }, "see room", "ndock node setup"},
		"no host in Placement":      {"No valid host was found. ", nil, "no host that is up had what flavor big asks for", "ndock boot --image id-web --flavor FLAVOR NAME"},
		"a host's own trouble":      {exhausted, nil, "could not start it: nova-compute's log there says why", "ndock node status"},
		"a host without network":    {exhausted, unmapped("Open vSwitch agent"), "could not start it, see mappings", "crudini --set /etc/neutron/plugins/ml2/openvswitch_agent.ini ovs bridge_mappings a:br-a,physnet1:BRIDGE && service neutron-open restart"},
		"no wire to the network":    {"Failed to allocate the network(s), not rescheduling.", unmapped("OVN Controller agent"), "could not wire its port", "ovs-vsctl set Open_vSwitch . external_ids:ovn-bridge-mappings=physnet1:BRIDGE"},
		"an image for ARM":          {noHost, func(c *cloud) { c.images[0].Architecture = "aarch64" }, "processors that are aarch64, and maybe no host's are", "ndock image push-glance --force --platform linux/amd64 IMAGE"},
		"an image for no host":      {noHost, processors("x86_64", "AARCH64"), "processors that are x86_64, and no host's are", "ndock image push-glance --force --platform linux/arm64 IMAGE"},
		"one that Placement kept":   {"No valid host was found. ", processors("aarch64", "X86_64"), "processors that are aarch64, and no host's are", "ndock image push-glance --force --platform linux/amd64 IMAGE"},
		"an image for others":       {noHost, processors("s390x", "PPC64LE"), "s390x, and no host's are", "ndock image push-glance --force --platform linux/ppc64le IMAGE"},
		"an image for the host":     {noHost, processors("aarch64", "AARCH64"), "'ndock doctor' tells an administrator", ""},
		"an image for all":          {noHost, processors("", "AARCH64"), "'ndock doctor' tells an administrator", ""},
		"an image for most":         {noHost, func(c *cloud) { c.images[0].Architecture = "x86_64" }, "'ndock doctor' tells an administrator", ""},
		"an image that is gone":     {noHost, func(c *cloud) { c.images = nil }, "'ndock doctor' tells an administrator", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sound()
			failed(c, test.fault)
			if test.change != nil {
				test.change(c)
			}
			got := examined(t, c)["servers"]
			if got.State != Warning || !strings.Contains(got.Detail, test.detail) || got.Fix != test.fix {
				t.Errorf("got  %+v\nwant %q, %q", got, test.detail, test.fix)
			}
		})
	}
}

// processors has an image say which it is for, and hosts which they have.
func processors(image, host string) func(*cloud) {
	return func(c *cloud) {
		c.images[0].Architecture, c.traits = image, append(c.traits, "COMPUTE_ARCH_"+host)
	}
}

func failed(c *cloud, fault string) {
	c.booted = append(c.booted, openstack.Server{ID: "id-web", Name: "web", Status: "ERROR", Fault: fault, ImageID: "id-web", Flavor: "big"})
}

// off adds a server that is newer.
func off(c *cloud, name string) {
	c.booted = append(c.booted, openstack.Server{ID: "id-server", Name: name, Status: "SHUTOFF", ImageID: "id-web", Created: time.Unix(1, 0)})
}

func engineDown(c *cloud) {
	c.hypervisors[0].State = "down"
	c.services[0] = openstack.ComputeService{Host: "one", Reason: "AUTO: ndock: Docker Engine does not answer"}
}

// wide keeps flavors from hosts that have less than 100 GiB of disk.
func wide(flavor openstack.Flavor) bool { return flavor.Disk >= 100 }

func fast() openstack.Flavor {
	return openstack.Flavor{ID: "f1", Name: "fast", VCPUs: 1, Specs: map[string]string{"trait:CUSTOM_FAST": "required", "resources:PGPU": "1", "quota:cpu_shares": "5"}}
}

// picky keeps flavors with extra specs from all hosts.
func picky(flavor openstack.Flavor) bool { return len(flavor.Specs) > 0 }

func used() openstack.Addresses {
	return openstack.Addresses{4: {Total: 1, Used: 1}, 6: {Total: 1 << 64, Used: 1}}
}

// unmapped has the only host wire its ports by such an agent, which does not know the network's physical network.
func unmapped(kind string) func(c *cloud) {
	return func(c *cloud) {
		c.networks[0].Physical = "physnet1"
		c.agents[0] = agent(kind, "one", true)
		switch kind {
		case "OVN Controller agent":
			c.agents[0].Configuration = map[string]any{"bridge-mappings": ""}
		default:
			c.agents[0].Configuration = map[string]any{"bridge_mappings": map[string]any{"a": "br-a"}}
		}
	}
}
