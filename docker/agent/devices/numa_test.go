package devices

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSysfs has the devices 1:3 (null) and 1:5 (zero) as parts of PCI devices that say this of their NUMA nodes; of an empty one
// nothing is said.
func fakeSysfs(t *testing.T, null, zero string) string {
	t.Helper()
	sys := t.TempDir()
	for number, numa := range map[string]string{"1:3": null, "1:5": zero} {
		pci := filepath.Join(sys, "devices/pci0000:00/0000:0"+strings.ReplaceAll(number, ":", "")+":00.0")
		of := filepath.Join(pci, "drm/card")
		if err := os.MkdirAll(of, 0o755); err != nil {
			t.Fatal(err)
		}
		if numa != "" {
			if err := os.WriteFile(filepath.Join(pci, "numa_node"), []byte(numa), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(sys, "dev/char"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(of, filepath.Join(sys, "dev/char", number)); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

// TestNUMANode: of two devices that are free, card=0 (1:3), whose name comes first, and card=1 (1:5).
func TestNUMANode(t *testing.T) {
	const first, second = "a.com/card=0", "a.com/card=1"
	for name, c := range map[string]struct {
		null, zero string
		server     []int
		want       string
	}{
		"the one on the server's node":               {"1\n", "0\n", []int{0}, second},
		"the other node":                             {"1\n", "0\n", []int{1}, first},
		"a server of two nodes":                      {"3\n", "0\n", []int{0, 1}, second},
		"a server that may be anywhere":              {"1\n", "0\n", nil, first},
		"both on its node":                           {"0\n", "0\n", []int{0}, first},
		"none on its node: it gets one all the same": {"1\n", "1\n", []int{0}, first},
		"one of which the kernel does not know":      {"1\n", "-1\n", []int{0}, second},
		"one of which the kernel says nothing":       {"1\n", "", []int{0}, second},
		"the known one first":                        {"-1\n", "0\n", []int{0}, second},
		"what is no number":                          {"many\n", "0\n", []int{0}, second},
		"a kernel that says nothing at all":          {"", "", []int{0}, first},
	} {
		t.Run(name, func(t *testing.T) {
			d := host(t, map[string]string{"cards.json": spec("a.com/card", node("0", "/dev/null"), node("1", "/dev/zero"))})
			d.sys = fakeSysfs(t, c.null, c.zero)
			if err := d.Take(third, map[string]int{"PGPU": 1}, c.server, ""); err != nil {
				t.Fatal(err)
			}
			d.wants(t, third, "", c.want)
		})
	}
}

// TestTheOwnDeviceBeforeANearOne: a rebuild changes nothing.
func TestTheOwnDeviceBeforeANearOne(t *testing.T) {
	d := host(t, map[string]string{"cards.json": spec("a.com/card", node("0", "/dev/null"), node("1", "/dev/zero"))})
	d.sys = fakeSysfs(t, "0\n", "1\n")
	d.take(t, first, "c1")
	if err := d.Take(first, map[string]int{"PGPU": 1}, []int{1}, ""); err != nil {
		t.Fatal(err)
	}
	d.wants(t, first, "c1", "a.com/card=0")
}

// TestNUMANodesOfADevice that has several device nodes: it is near only where all are.
func TestNUMANodesOfADevice(t *testing.T) {
	d := &Devices{sys: fakeSysfs(t, "0\n", "1\n")}
	for nodes, want := range map[string]int{
		"c1:3": 0, "c1:5": 2, "c1:3 c1:5": 2, "c1:3 c9:9": 0, "b1:3": 1, "c9:9": 1, "": 1, "a.com/card=0": 1, "c.com/card=1:3": 1, "c../../1:3": 1,
	} {
		if got := d.distance(device{nodes: nodes}, []int{0}); got != want {
			t.Errorf("%q: got %d, want %d", nodes, got, want)
		}
	}
}
