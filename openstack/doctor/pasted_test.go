package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ndock/openstack"
)

// hostile is a name that does something to whoever pastes it into a shell.
const hostile = "a; rm x' $(rm x) `rm x` \"$(rm x)\" \\\n rm x & > x # é"

// pasted runs a command in a shell whose programs tell what they were given, and rm that it was called.
func pasted(t *testing.T, command string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{"openstack", "ndock", "service", "crudini", "nova-manage", "ovs-vsctl", "rm"} {
		script := "#!/bin/sh\nprintf '<%s>' \"$@\"\n"
		if program == "rm" {
			script = "#!/bin/sh\necho RAN RM\n"
		}
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
	shell.Env, shell.Dir = []string{"PATH=" + dir}, dir
	said, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", command, err, said)
	}
	return string(said)
}

// TestPastedCommands: names are others', and the command of a finding gets each as one word.
func TestPastedCommands(t *testing.T) {
	t.Parallel()
	named := func(kind string) func(*cloud) {
		return func(c *cloud) { unmapped(kind)(c); c.networks[0].Physical, c.agents[0].Program = hostile, hostile }
	}
	for name, test := range map[string]struct {
		check  string
		change func(*cloud)
	}{
		"a host that is disabled":   {"hypervisors", func(c *cloud) { c.hypervisors[0].Status, c.hypervisors[0].ServiceHost = "disabled", hostile }},
		"an agent":                  {"agents", func(c *cloud) { c.agents[1].Program, c.agents[1].Alive = hostile, false }},
		"an agent that wires":       {"agents", func(c *cloud) { c.agents[0].Program, c.agents[0].Alive = hostile, false }},
		"Open vSwitch's mapping":    {"mappings", named("Open vSwitch agent")},
		"linuxbridge's mapping":     {"mappings", named("Linux bridge agent")},
		"OVN's mapping":             {"mappings", named("OVN Controller agent")},
		"a network without address": {"addresses", func(c *cloud) { c.networks[0].ID = hostile; c.addresses[hostile] = used() }},
		"a network without subnet":  {"networks", func(c *cloud) { c.networks[0].ID, c.networks[0].Subnets = hostile, 0 }},
		"a network that is down":    {"networks", func(c *cloud) { c.networks[0].ID, c.networks[0].Up = hostile, false }},
		"an image":                  {"properties", func(c *cloud) { mixed(c); c.images[0].ID, c.images[0].HypervisorType = hostile, "" }},
		"two images": {"properties", func(c *cloud) {
			mixed(c)
			c.images = []openstack.Image{image("a", ""), image("b", "")}
			c.images[1].ID = hostile
		}},
		"another hypervisor": {"properties", func(c *cloud) {
			mixed(c)
			c.hypervisors[1].Type, c.machines = strings.ToLower(hostile), []openstack.Image{image("vm", "")}
		}},
		"a project and servers": {"quota", func(c *cloud) { c.session.ProjectID, c.servers.Instances.Used = hostile, 10 }},
		"a project and images": {"pushing", func(c *cloud) {
			c.session.ProjectID, c.failing["reserved"] = hostile, answered(403, "try", "not you")
		}},
		"a format":                 {"formats", func(c *cloud) { c.formats.Container = []string{hostile} }},
		"a flavor that fits":       {"room", func(c *cloud) { c.flavors[0].Disk, c.unfit = 100, wide; c.flavors[1].Name = hostile }},
		"a flavor":                 {"room", func(c *cloud) { c.flavors[0], c.unfit = fast(), picky; c.flavors[0].ID = hostile }},
		"an extra spec":            {"room", func(c *cloud) { c.flavors[0], c.unfit = fast(), picky; c.flavors[0].Specs["trait"+hostile] = "" }},
		"a server's image":         {"servers", func(c *cloud) { failed(c, "No command specified"); c.booted[0].ImageID = hostile }},
		"a server":                 {"servers", func(c *cloud) { failed(c, "who knows"); c.booted[0].ID = hostile }},
		"what a server's fault is": {"servers", func(c *cloud) { failed(c, "it is for linux/a, and this host is linux/amd64"+hostile) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sound()
			test.change(c)
			got := examined(t, c)[test.check]
			said := pasted(t, got.Fix)
			if got.Fix == "" || strings.Contains(said, "RAN RM") || !strings.HasPrefix(said, "<") {
				t.Errorf("%s\nsays %s", got.Fix, said)
			}
			if one := oneLine(hostile); !strings.Contains(said, one) && name != "what a server's fault is" {
				t.Errorf("%s\nhas not the word %s: %s", got.Fix, one, said)
			}
		})
	}
}

// FuzzWord: a shell takes the word for the text, whatever is in it.
func FuzzWord(f *testing.F) {
	for _, text := range []string{"", "web", hostile, "'", "''", "-n", "~", "*", "a=b", "!", "\x00", "\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x00") { // which no argument has
			return
		}
		shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s. "+word(text))
		if said, err := shell.Output(); err != nil || string(said) != text+"." {
			t.Errorf("%q became %q: %v", word(text), said, err)
		}
	})
}
