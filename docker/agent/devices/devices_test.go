package devices

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ndock/docker/ociruntime"
)

// The servers of tests, and the containers that they have.
const (
	first  = "11111111-1111-4111-8111-111111111111"
	second = "22222222-2222-4222-8222-222222222222"
	third  = "33333333-3333-4333-8333-333333333333"
)

// node is a device of a specification, which is a node of this host.
func node(name, hostPath string) string {
	return fmt.Sprintf(`{"name":%q,"containerEdits":{"env":["CARD=%s"],"deviceNodes":[{"path":"/dev/card","hostPath":%q}]}}`, name, name, hostPath)
}

// spec is a specification of these devices.
func spec(kind string, devices ...string) string {
	return fmt.Sprintf(`{"cdiVersion":"0.6.0","kind":%q,"devices":[%s],"containerEdits":{"hooks":[{"hookName":"createContainer","path":"/bin/true"}]}}`, kind, strings.Join(devices, ","))
}

// cards is a specification of two devices by three names, and of both by a fourth.
func cards() string {
	all := `{"name":"all","containerEdits":{"deviceNodes":[{"path":"/dev/null"},{"path":"/dev/zero"}]}}`
	return spec("a.com/card", node("0", "/dev/null"), node("GPU-0", "/dev/null"), node("1", "/dev/zero"), all)
}

// host is one whose specifications are in the last of its directories.
func host(t *testing.T, specs map[string]string) *Devices {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("specifications have to be root's")
	}
	d := New(t.TempDir(), []string{filepath.Join(t.TempDir(), "none"), t.TempDir(), t.TempDir()}, map[string]string{"PGPU": "a.com/card"})
	for name, content := range specs {
		d.specify(t, name, content)
	}
	return d
}

func (d *Devices) specify(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dirs[2], name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *Devices) take(t *testing.T, server, container string) {
	t.Helper()
	if err := d.Take(server, map[string]int{"PGPU": 1, "VGPU": 0}, nil, ""); err != nil {
		t.Fatal(err)
	}
	if err := d.Bind(server, container); err != nil {
		t.Fatal(err)
	}
}

func (d *Devices) prepare(t *testing.T, server, container string) {
	t.Helper()
	if err := d.Prepare(server, container); err != nil {
		t.Fatal(err)
	}
}

func (d *Devices) wants(t *testing.T, server, container string, want ...string) {
	t.Helper()
	if got, err := d.Of(server, container); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s of %.8s has %q, %v, want %q", container, server, got, err, want)
	}
}

func (d *Devices) lacks(t *testing.T) string {
	t.Helper()
	_, lacks := d.Report()
	return strings.Join(lacks, "\n")
}

func wantError(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %s", err, says)
	}
}

// TestThreeServersOnTwoDevices, with an agent of its own for each: what was taken is on the disk.
func TestThreeServersOnTwoDevices(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	d.take(t, first, "c1")
	New(d.root, d.dirs, d.kinds).take(t, second, "c2")
	d = New(d.root, d.dirs, d.kinds)
	d.wants(t, first, "c1", "a.com/card=GPU-0")
	d.wants(t, second, "c2", "a.com/card=1")
	wantError(t, d.Take(third, map[string]int{"PGPU": 1}, nil, ""), "the server is to have 1 devices of class PGPU (a.com/card), and this host has 0 that no server has")
	d.wants(t, third, "c3")
	if err := os.RemoveAll(filepath.Join(d.root, first)); err != nil { // as a delete does
		t.Fatal(err)
	}
	d.take(t, third, "c3")
	d.wants(t, third, "c3", "a.com/card=GPU-0")
}

// TestAtOnce: of many servers at once, each device goes to one.
func TestAtOnce(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	var group sync.WaitGroup
	var lock sync.Mutex
	got := 0
	for i := range 20 {
		group.Go(func() {
			err := d.Take(fmt.Sprintf("%08d-1111-4111-8111-111111111111", i), map[string]int{"PGPU": 1}, nil, "")
			lock.Lock()
			defer lock.Unlock()
			if err == nil {
				got++
			}
		})
	}
	group.Wait()
	if got != 2 {
		t.Errorf("%d servers have one of 2 devices", got)
	}
}

func TestReport(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	classes, lacks := d.Report()
	if len(classes) != 1 || classes[0].Class != "PGPU" || classes[0].Kind != "a.com/card" || classes[0].Total != 2 || len(lacks) > 0 {
		t.Errorf("got %+v, %q", classes, lacks)
	}
	d.take(t, first, "c1")
	d.specify(t, "cards.json", spec("a.com/card", node("1", "/dev/zero"), node("2", "/dev/full")))
	if classes, _ = d.Report(); classes[0].Total != 3 { // what is sold and gone counts until it is given back
		t.Errorf("got %+v", classes)
	}
	if got := d.lacks(t); !strings.Contains(got, "server "+first+" does not start without a.com/card=GPU-0, which no CDI specification of ") {
		t.Errorf("got %s", got)
	}
	d.kinds = nil // the operator has taken the class away
	if classes, _ = d.Report(); len(classes) != 1 || classes[0].Total != 1 || classes[0].Kind != "" {
		t.Errorf("got %+v", classes)
	}
	wantError(t, d.Take(first, map[string]int{"PGPU": 1}, nil, ""), "the server is to have devices of class PGPU, and devices: in this host's agent.yaml names none")
}

func TestWithoutDevices(t *testing.T) {
	d := New(t.TempDir(), []string{"/proc/version"}, nil) // which cannot be read as a directory
	if classes, lacks := d.Report(); classes != nil || lacks != nil {
		t.Errorf("got %+v, %q", classes, lacks)
	}
	if err := d.Take(first, nil, nil, ""); err != nil {
		t.Error(err)
	}
	for _, class := range []string{"PGPU", "VGPU", "FPGA", "CUSTOM_FPGA"} {
		wantError(t, d.Take(first, map[string]int{class: 1}, nil, ""), "the server is to have devices of class "+class+", and devices: in this host's agent.yaml names none")
	}
	for _, err := range []error{d.Bind(first, "c1"), d.Keep(first, "c1"), d.Share(first, "c1"), d.Prepare(first, "c1")} {
		if err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(d.root); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestMoves: a rebuild keeps the device, a resize keeps that of the backup until it is confirmed, a rescue shares it.
func TestMoves(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	d.take(t, second, "other")
	d.take(t, first, "c1")
	if err := os.RemoveAll(filepath.Join(d.root, second)); err != nil {
		t.Fatal(err)
	}
	d.take(t, first, "c2") // c1 is gone
	d.wants(t, first, "c2", "a.com/card=1")
	d.wants(t, first, "c1")
	if err := d.Share(first, "c2"); err != nil {
		t.Fatal(err)
	}
	d.wants(t, first, "rescue", "a.com/card=1") // it is not bound yet, as after a crash
	if err := d.Keep(first, "c2"); err != nil {
		t.Fatal(err)
	}
	if err := d.Take(first, map[string]int{"PGPU": 1}, nil, "c2"); err != nil {
		t.Fatal(err)
	}
	if err := d.Bind(first, "c3"); err != nil {
		t.Fatal(err)
	}
	d.wants(t, first, "c2", "a.com/card=1")
	d.wants(t, first, "c3", "a.com/card=GPU-0")
	wantError(t, d.Take(second, map[string]int{"PGPU": 1}, nil, ""), "this host has 0")
	if err := d.Keep(first, "c3"); err != nil { // confirmed
		t.Fatal(err)
	}
	d.take(t, second, "other")
	d.wants(t, second, "other", "a.com/card=1")
	if err := d.Take(first, nil, nil, "c3"); err != nil { // resized to a flavor without
		t.Fatal(err)
	}
	if err := d.Bind(first, "c4"); err != nil {
		t.Fatal(err)
	}
	d.wants(t, first, "c4")
	d.wants(t, first, "c3", "a.com/card=GPU-0")
}

// TestBadSpecifications costs what they have, and no other's.
func TestBadSpecifications(t *testing.T) {
	good := spec("a.com/card", node("good", "/dev/null"))
	for name, c := range map[string]struct {
		content, says string
	}{
		"it does not parse":      {"{", "bad.json is not used: failed to parse"},
		"an empty one":           {"", "bad.json is not used: "},
		"an unknown field":       {`{"cdiVersion":"0.6.0","kind":"a.com/card","devices":[],"x":1}`, "bad.json is not used: failed to parse"},
		"no devices":             {spec("a.com/card"), "bad.json is not used: invalid CDI Spec: invalid spec, no devices"},
		"two of one name in it":  {spec("a.com/card", node("x", "/dev/zero"), node("x", "/dev/full")), `bad.json is not used: invalid CDI Spec: invalid spec, multiple device "x"`},
		"one of another's name":  {spec("a.com/card", node("good", "/dev/full"), node("x", "/dev/zero")), "device a.com/card=good is not used: "},
		"a combination":          {spec("a.com/card", `{"name":"both","containerEdits":{"deviceNodes":[{"path":"/dev/null"},{"path":"/dev/zero"}]}}`), "device a.com/card=both is not used: it has the device nodes of a.com/card=good and more"},
		"a node that is not":     {spec("a.com/card", node("x", "/dev/none")), `device a.com/card=x is not used: failed to stat CDI host device "/dev/none"`},
		"a file that is no node": {spec("a.com/card", node("x", "/etc/passwd")), "device a.com/card=x is not used: "},
		"a network device":       {`{"cdiVersion":"1.1.0","kind":"a.com/card","devices":[{"name":"x","containerEdits":{"netDevices":[{"hostInterfaceName":"eth0","name":"eth1"}]}}]}`, "device a.com/card=x is not used: it has netDevices"},
		"a large one":            {strings.Repeat(" ", maxSpecSize+1), "bad.json is not used: it has 8388609 bytes"},
	} {
		d := host(t, map[string]string{"bad.json": c.content, "good.yaml": good})
		if got := d.lacks(t); !strings.Contains(got, c.says) {
			t.Errorf("%s: got %s, want %s", name, got, c.says)
		}
		if classes, _ := d.Report(); len(classes) != 1 || classes[0].Total != 1 {
			t.Errorf("%s: got %+v", name, classes)
		}
	}
	d := host(t, map[string]string{"other.json": spec("b.com/card", node("x", "/dev/null"))})
	if got := d.lacks(t); !strings.Contains(got, "has a device of kind a.com/card, which agent.yaml maps to PGPU") {
		t.Errorf("a kind without devices: got %s", got)
	}
}

// TestACombinationOfAnotherKind is not for sale either, whichever class is the first; of a kind that no class is, it does no harm.
func TestACombinationOfAnotherKind(t *testing.T) {
	pair := spec("a.com/pair", `{"name":"both","containerEdits":{"deviceNodes":[{"path":"/dev/null"},{"path":"/dev/zero"}]}}`)
	for _, class := range []string{"CUSTOM_PAIR", "VGPU"} {
		d := host(t, map[string]string{"pair.json": pair, "one.json": spec("b.com/card", node("0", "/dev/zero")), "two.json": cards()})
		d.kinds[class] = "a.com/pair"
		wantError(t, d.Take(first, map[string]int{class: 1}, nil, ""), "this host has 0 that no server has")
		if got := d.lacks(t); !strings.Contains(got, "device a.com/pair=both is not used: it has the device nodes of a.com/card=") || strings.Contains(got, "of b.com") {
			t.Errorf("got %s", got)
		}
		d.kinds = map[string]string{class: "a.com/pair"}
		if got := d.lacks(t); got != "" {
			t.Errorf("got %s", got)
		}
		if err := d.Take(first, map[string]int{class: 1}, nil, ""); err != nil {
			t.Error(err)
		}
	}
}

// TestOnlyRootSpecifies: a specification names programs that are run as root.
func TestOnlyRootSpecifies(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	path := filepath.Join(d.dirs[2], "cards.json")
	for says, change := range map[string]func() error{
		"cards.json can be written to by others than root: chmod go-w": func() error { return os.Chmod(path, 0o666) },
		"cards.json is not root's: chown root":                         func() error { return os.Chown(path, 1, 0) },
		d.dirs[2] + " can be written to by others":                     func() error { return os.Chmod(d.dirs[2], 0o777) },
		"cards.json is not used: it is no file":                        func() error { return os.Symlink("/dev/zero", path) },
	} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(says, "no file") {
			d.specify(t, "cards.json", cards())
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if got := d.lacks(t); !strings.Contains(got, says) {
			t.Errorf("got %s, want %s", got, says)
		}
		if err := os.Chmod(d.dirs[2], 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALaterDirectoryGoesFirst, as CDI has it.
func TestALaterDirectoryGoesFirst(t *testing.T) {
	d := host(t, map[string]string{"cards.json": spec("a.com/card", node("0", "/dev/zero"))})
	if err := os.WriteFile(filepath.Join(d.dirs[1], "cards.json"), []byte(cards()), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := readSpecs(d.dirs); len(got.lacks) > 0 || !strings.Contains(got.devices["a.com/card=0"].nodes, "1:5") {
		t.Errorf("got %+v", got)
	}
}

// injected is what the runtime finds for a server.
func (d *Devices) injected(t *testing.T, server string) (container, config string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.root, server, ociruntime.InjectionFile))
	if err != nil {
		t.Fatal(err)
	}
	var found ociruntime.Injection
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found.Container, string(found.Config)
}

func TestPrepare(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	d.take(t, first, "c1")
	if err := d.Prepare(first, "c1"); err != nil {
		t.Fatal(err)
	}
	container, config := d.injected(t, first)
	for _, want := range []string{
		`"env":["CARD=GPU-0"]`, `"path":"/dev/card","type":"c","major":1,"minor":3`, `{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}`,
		`"createContainer":[{"path":"/bin/true","timeout":45}]`,
	} {
		if container != "c1" || !strings.Contains(config, want) {
			t.Errorf("%s: got %s, want %s", container, config, want)
		}
	}
	if err := d.Prepare(first, "another"); err != nil { // which has none
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(d.root, first, ociruntime.InjectionFile)); !os.IsNotExist(err) {
		t.Errorf("what another container has is still there: %v", err)
	}
}

// TestNoPermissions: the node is there, and no rule of the device cgroup is about it.
func TestNoPermissions(t *testing.T) {
	none := `{"name":"0","containerEdits":{"deviceNodes":[{"path":"/dev/null","permissions":"none"},{"path":"/dev/zero","permissions":"r"}]}}`
	d := host(t, map[string]string{"cards.json": spec("a.com/card", none)})
	d.take(t, first, "c1")
	d.prepare(t, first, "c1")
	want := `"resources":{"devices":[{"allow":true,"type":"c","major":1,"minor":5,"access":"r"}]},"devices":[{"path":"/dev/null"`
	if _, config := d.injected(t, first); !strings.Contains(config, want) {
		t.Errorf("got %s, want %s", config, want)
	}
}

// TestPrepareRefuses a device that is gone, and one that is another server's by the specifications of today.
func TestPrepareRefuses(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	d.take(t, first, "c1")
	d.take(t, second, "c2")
	d.prepare(t, first, "c1")
	d.specify(t, "cards.json", spec("a.com/card", node("1", "/dev/zero")))
	wantError(t, d.Prepare(first, "c1"), "its device a.com/card=GPU-0 is in no CDI specification of ")
	if _, err := os.Stat(filepath.Join(d.root, first, ociruntime.InjectionFile)); !os.IsNotExist(err) {
		t.Errorf("what it had at its last start is still there: %v", err)
	}
	d.specify(t, "cards.json", spec("a.com/card", node("GPU-0", "/dev/zero"), node("1", "/dev/zero")))
	wantError(t, d.Prepare(first, "c1"), "its device a.com/card=GPU-0 is another server's now")
	d.specify(t, "cards.json", cards())
	if err := d.Prepare(first, "c1"); err != nil {
		t.Error(err)
	}
}

// TestAKilledAgent had taken a device and made the container, and not yet recorded for which: it is the container's all the same.
func TestAKilledAgent(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	if err := d.Take(first, map[string]int{"PGPU": 1}, nil, ""); err != nil {
		t.Fatal(err)
	}
	d = New(d.root, d.dirs, d.kinds)
	if err := d.Prepare(first, "c1"); err != nil {
		t.Fatal(err)
	}
	if err := d.Take(first, map[string]int{"PGPU": 1}, nil, "c1"); err != nil { // a resize
		t.Fatal(err)
	}
	if err := d.Prepare(first, "c1"); err != nil {
		t.Fatal(err)
	}
	d.wants(t, first, "c1", "a.com/card=GPU-0")
	d.wants(t, first, "c2", "a.com/card=1")
}

// TestADamagedRecord costs its own server, and new ones, for nobody knows which devices are free. Those that run go on.
func TestADamagedRecord(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	d.take(t, second, "c2")
	if err := os.MkdirAll(filepath.Join(d.root, first), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.root, first, recordFile), nil, 0o600); err != nil { // as a power cut leaves one
		t.Fatal(err)
	}
	says := "read which devices server " + first + " has, in " + filepath.Join(d.root, first, recordFile)
	for what, err := range map[string]error{
		"another takes one": d.Take(third, map[string]int{"PGPU": 1}, nil, ""),
		"it takes one":      d.Take(first, map[string]int{"PGPU": 1}, nil, ""),
		"it starts":         d.Prepare(first, "c1"),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	d.prepare(t, second, "c2")
	if err := d.Take(third, nil, nil, ""); err != nil {
		t.Error(err)
	}
	if classes, _ := d.Report(); len(classes) != 1 || classes[0].Total != 2 {
		t.Errorf("got %+v", classes)
	}
	if got := d.lacks(t); !strings.Contains(got, "no device is given to a server while it is not known what all have: "+says) {
		t.Errorf("got %s", got)
	}
}

// TestADeviceThatLosesItsName is its server's all the same, which runs with it: until the server is gone, nobody else gets it.
func TestADeviceThatLosesItsName(t *testing.T) {
	named := spec("a.com/card", node("long", "/dev/null"))
	both := `{"name":"both","containerEdits":{"deviceNodes":[{"path":"/dev/null"},{"path":"/dev/zero"}]}}`
	for name, c := range map[string]struct {
		now, others    string
		freeAfterABoot bool // in which the nodes may be others
	}{
		"it has another":         {now: spec("a.com/card", node("x", "/dev/null")), freeAfterABoot: true},
		"it has another kind":    {now: spec("b.com/card", node("long", "/dev/null"))},
		"it is part of another":  {now: spec("a.com/card", both), freeAfterABoot: true},
		"two specify it":         {now: named, others: named},
		"the next has its index": {now: spec("a.com/card", node("long", "/dev/zero"), node("x", "/dev/null")), freeAfterABoot: true},
	} {
		d := host(t, map[string]string{"cards.json": named})
		d.kinds["VGPU"] = "b.com/card"
		d.take(t, first, "c1")
		d.prepare(t, first, "c1")
		d.specify(t, "cards.json", c.now)
		d.specify(t, "others.json", c.others)
		for _, class := range []string{"PGPU", "VGPU"} {
			wantError(t, d.Take(second, map[string]int{class: 1}, nil, ""), "this host has 0 that no server has")
		}
		if classes, _ := d.Report(); len(classes) != 1 || classes[0].Total != 1 {
			t.Errorf("%s: got %+v", name, classes)
		}
		d.boot = "another"
		if err := d.Take(second, map[string]int{"PGPU": 1}, nil, ""); (err == nil) != c.freeAfterABoot {
			t.Errorf("%s: after a boot: %v", name, err)
		}
	}
}

// TestShiftedIndices: a server does not start with the device that another one still runs with under its former name.
func TestShiftedIndices(t *testing.T) {
	d := host(t, map[string]string{"cards.json": spec("a.com/card", node("0", "/dev/null"), node("1", "/dev/zero"), node("2", "/dev/full"))})
	d.take(t, first, "c1")
	d.take(t, second, "c2")
	d.prepare(t, first, "c1")
	d.prepare(t, second, "c2")
	d.specify(t, "cards.json", spec("a.com/card", node("0", "/dev/zero"), node("1", "/dev/full")))
	wantError(t, d.Prepare(first, "c1"), "its device a.com/card=0 is another server's now")
	d.prepare(t, second, "c2") // which has another one from here on
	d.prepare(t, first, "c1")
}

// TestTwoThatBecomeOne: a server that is to have two devices does not start with one.
func TestTwoThatBecomeOne(t *testing.T) {
	d := host(t, map[string]string{"cards.json": spec("a.com/card", node("0", "/dev/null"), node("1", "/dev/zero"))})
	if err := d.Take(first, map[string]int{"PGPU": 2}, nil, ""); err != nil {
		t.Fatal(err)
	}
	d.prepare(t, first, "c1")
	d.specify(t, "cards.json", spec("a.com/card", node("0", "/dev/null"), node("1", "/dev/null")))
	wantError(t, d.Prepare(first, "c1"), "its device a.com/card=1 is another one of its own now")
}

// TestAKindOfAnotherClass: what is sold of one class is not for sale of the next that the operator maps its kind to.
func TestAKindOfAnotherClass(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	d.take(t, first, "c1")
	d.kinds = map[string]string{"CUSTOM_GPU": "a.com/card"}
	classes, _ := d.Report()
	if len(classes) != 2 || classes[0].Total != 1 || classes[1].Class != "PGPU" || classes[1].Total != 1 {
		t.Errorf("got %+v", classes)
	}
}

// TestARescueOfAServerThatWasNotBound: the agent was killed between the container and its record, and the rescue shares all the same.
func TestARescueOfAServerThatWasNotBound(t *testing.T) {
	d := host(t, map[string]string{"cards.json": cards()})
	if err := d.Take(first, map[string]int{"PGPU": 1}, nil, ""); err != nil {
		t.Fatal(err)
	}
	if err := d.Share(first, "c1"); err != nil {
		t.Fatal(err)
	}
	if err := d.Bind(first, "c2"); err != nil {
		t.Fatal(err)
	}
	for _, container := range []string{"c1", "c2"} {
		if names, err := d.Of(first, container); err != nil || len(names) != 1 {
			t.Errorf("%s has %q, %v", container, names, err)
		}
	}
}
