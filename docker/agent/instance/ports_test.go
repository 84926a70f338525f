package instance_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
	"ndock/docker/network/networktest"
)

func vif(id, kind string) string {
	return fmt.Sprintf(`{"id":%q,"address":"fa:16:3e:01:02:03","type":%q,"network":{"bridge":"brq0b6ba3c1-5a","meta":{"mtu":1450},
		"subnets":[{"cidr":"10.0.0.0/24","gateway":{"address":"10.0.0.1"},"ips":[{"address":"10.0.0.5"}]}]}}`, id, kind)
}

func vifs(ids ...string) string {
	var all []string
	for _, id := range ids {
		all = append(all, vif(id, "bridge"))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// taps are the host's ends of veth pairs in this thread's network.
func taps(t *testing.T) []string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, link := range links {
		if name := link.Attrs().Name; strings.HasPrefix(name, "tap") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// wantPorts checks the veth pairs, and what is recorded: one of each for a port, in this order.
func wantPorts(t *testing.T, engine *enginetest.Engine, ids ...string) {
	t.Helper()
	var wantTaps, recorded []string
	for _, id := range ids {
		wantTaps = append(wantTaps, network.Port{ID: id}.Tap())
	}
	if got := taps(t); !slices.Equal(got, wantTaps) {
		t.Errorf("got taps %q, want %q", got, wantTaps)
	}
	for _, port := range portsIn(t, engine) {
		recorded = append(recorded, port.ID)
	}
	if !slices.Equal(recorded, ids) {
		t.Errorf("recorded is %q, want %q", recorded, ids)
	}
}

func portsIn(t *testing.T, engine *enginetest.Engine) []network.Port {
	t.Helper()
	ports, err := network.Ports(filepath.Join(agenttest.StateOf(t, engine), enginetest.ServerID))
	if err != nil {
		t.Error(err)
	}
	return ports
}

const (
	portsPath   = agenttest.ServerPath + "/ports"
	otherServer = "11111111-2222-4333-8444-555555555555"
)

func TestPlugAndDelete(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	for range 2 { // as whenever Nova starts
		status, body := ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
		agenttest.WantOK(t, status, body)
		wantPorts(t, engine, firstPort, secondPort)
	}
	for range 2 {
		status, body := ask(t, engine, "DELETE", agenttest.ServerPath, vifs(firstPort, secondPort))
		agenttest.WantOK(t, status, body)
		wantPorts(t, engine)
	}
	if len(engine.Containers) != 0 {
		t.Errorf("containers %v stay", engine.Containers)
	}
}

// TestDeleteThatKeepsPorts: they come back out of a container whose hook did not run, and the next container has them.
func TestDeleteThatKeepsPorts(t *testing.T) {
	networktest.Own(t)
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("ndock-test", "/run", "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	status, body := ask(t, engine, "PUT", portsPath, vifs(firstPort))
	agenttest.WantOK(t, status, body)
	ports, err := network.Ports(filepath.Join(engine.State, enginetest.ServerID))
	if err != nil {
		t.Fatal(err)
	}
	other := networktest.Another(t)
	pinned := network.NetnsPath(engine.Containers[naming.Container(enginetest.ServerID)].ID)
	if err := network.Join(ports, fmt.Sprintf("/proc/self/fd/%d", other.Fd()), pinned); err != nil {
		t.Fatal(err)
	}
	other.Close()
	status, body = ask(t, engine, "DELETE", agenttest.ServerPath+"?keep=ports", "[]")
	agenttest.WantOK(t, status, body)
	tap, err := netlink.LinkByName(ports[0].Tap())
	if err != nil {
		t.Fatal(err)
	}
	if end, err := netlink.LinkByIndex(tap.Attrs().ParentIndex); err != nil || end.Attrs().ParentIndex != tap.Attrs().Index {
		t.Errorf("the port went with the container: %v", err)
	}
	if _, err := os.Stat(pinned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the container's network is still there: %v", err)
	}
}

// TestDeleteOnAFullDisk: it writes nothing, and frees what the server has there.
func TestDeleteOnAFullDisk(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	full := agenttest.StateOf(t, engine)
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("only root can make a small disk: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(full, 0) })
	engine.PutServer(container.StateRunning)
	status, body := ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
	agenttest.WantOK(t, status, body)
	if err := os.WriteFile(filepath.Join(full, "hog"), make([]byte, 64<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	status, body = ask(t, engine, "DELETE", agenttest.ServerPath, vifs(firstPort, secondPort))
	agenttest.WantOK(t, status, body)
	wantPorts(t, engine)
	if _, err := os.Stat(filepath.Join(full, enginetest.ServerID)); !errors.Is(err, os.ErrNotExist) || len(engine.Containers) != 0 {
		t.Errorf("its directory: %v; containers %v", err, engine.Containers)
	}
}

// TestUnplugThatFails: what could not be unplugged stays recorded, and nothing else.
func TestUnplugThatFails(t *testing.T) {
	networktest.Own(t)
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("ndock-test", "/run", "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	engine := enginetest.New()
	all := "[" + strings.ReplaceAll(vif(secondPort, "ovs"), "brq0b6ba3c1-5a", "br-int") + "," + vif(firstPort, "bridge") + "]" // without Open vSwitch
	for _, method := range []string{"PUT", "DELETE"} {
		status, body := ask(t, engine, method, portsPath, all)
		agenttest.WantFault(t, status, body, 500, agent.Failed)
	}
	if ports := portsIn(t, engine); len(ports) != 1 || ports[0].ID != secondPort {
		t.Errorf("recorded is %+v", ports)
	}
}

// TestDeleteFindsItsPorts: Nova need not remember them, as when it is told to clean up what it has forgotten.
func TestDeleteFindsItsPorts(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
	status, body := ask(t, engine, "DELETE", agenttest.ServerPath, "[]")
	agenttest.WantOK(t, status, body)
	wantPorts(t, engine)
}

// TestDeleteOfAVethPairThatIsNotRecorded: the disk with the record is another one now.
func TestDeleteOfAVethPairThatIsNotRecorded(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	ask(t, engine, "PUT", portsPath, vifs(firstPort))
	if err := os.RemoveAll(filepath.Join(engine.State, enginetest.ServerID)); err != nil {
		t.Fatal(err)
	}
	status, body := ask(t, engine, "DELETE", portsPath, vifs(firstPort))
	agenttest.WantOK(t, status, body)
	wantPorts(t, engine)
}

// TestDeleteOfAVethPairThatIsAnothers, or no server's: a server's own request cannot take it.
func TestDeleteOfAVethPairThatIsAnothers(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	ask(t, engine, "PUT", strings.Replace(portsPath, enginetest.ServerID, otherServer, 1), vifs(firstPort))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = network.Port{ID: secondPort}.Tap() // of Neutron's DHCP agent, say
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}); err != nil {
		t.Fatal(err)
	}
	before := taps(t)
	for _, path := range []string{portsPath, agenttest.ServerPath} {
		status, body := ask(t, engine, "DELETE", path, vifs(firstPort, secondPort))
		agenttest.WantOK(t, status, body)
		if got := taps(t); len(before) != 2 || !slices.Equal(got, before) {
			t.Errorf("%s: got taps %q, want %q", path, got, before)
		}
	}
}

// TestNoVethPairThatIsNotRecorded: nothing would say which server has it.
func TestNoVethPairThatIsNotRecorded(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	if err := os.WriteFile(filepath.Join(agenttest.StateOf(t, engine), enginetest.ServerID), nil, 0o600); err != nil { // where its directory should be
		t.Fatal(err)
	}
	status, body := ask(t, engine, "PUT", portsPath, vifs(firstPort))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if got := taps(t); len(got) != 0 {
		t.Errorf("got taps %q", got)
	}
}

// TestAPortKeepsItsPlace, whatever order Nova has today; what else Neutron says of it is new.
func TestAPortKeepsItsPlace(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
	ask(t, engine, "DELETE", portsPath+"/"+firstPort, "")
	status, body := ask(t, engine, "PUT", portsPath, strings.ReplaceAll(vifs(secondPort, firstPort), "10.0.0.5", "10.0.0.7"))
	agenttest.WantOK(t, status, body)
	ports := portsIn(t, engine)
	if len(ports) != 2 || ports[0].ID != secondPort || ports[0].Interface() != "eth1" || ports[1].Interface() != "eth2" {
		t.Errorf("got %+v", ports)
	}
	if got := ports[0].Subnets[0].Addresses[0].String(); got != "10.0.0.7/24" {
		t.Errorf("got %s", got)
	}
}

// TestPortsAreCheckedFirst: when one of them cannot be plugged, none is.
func TestPortsAreCheckedFirst(t *testing.T) {
	for name, body := range map[string]string{
		"the second is of a type that is not plugged": "[" + vif(firstPort, "bridge") + "," + vif(secondPort, "hw_veb") + "]",
		"the second is for a bridge of the host's":    "[" + vif(firstPort, "bridge") + "," + strings.ReplaceAll(vif(secondPort, "bridge"), "brq0b6ba3c1-5a", "docker0") + "]",
		"too many":             "[" + strings.Repeat(vif(firstPort, "bridge")+",", agent.MaxPorts) + vif(firstPort, "bridge") + "]",
		"the second has no id": "[" + vif(firstPort, "bridge") + "," + vif("", "bridge") + "]",
		"no list":              vif(firstPort, "bridge"),
		"no JSON":              "[",
	} {
		engine := enginetest.New()
		status, answer := ask(t, engine, "PUT", portsPath, body)
		if status != 400 {
			t.Errorf("%s: got %d %s", name, status, answer)
		}
		engine.WantCalls(t)
	}
	engine := enginetest.New()
	status, answer := ask(t, engine, "PUT", "/v1/instances/web/ports", vifs(firstPort))
	agenttest.WantFault(t, status, answer, 400, agent.BadRequest)
	engine.WantCalls(t)
}

// Ports that come one after the other count together. What is there can be plugged again.
func TestAServersPortsAreFew(t *testing.T) {
	networktest.Own(t)
	var ids []string
	for i := range agent.MaxPorts {
		ids = append(ids, fmt.Sprintf("%08x-d2e4-4f56-8a78-9b0c1d2e3f40", i))
	}
	engine := withImage(t, ids...)
	engine.PutServer(container.StateExited)
	for path, body := range map[string]string{portsPath: vifs(firstPort), portsPath + "/" + firstPort: vif(firstPort, "bridge")} {
		status, answer := ask(t, engine, "PUT", path, body)
		agenttest.WantFault(t, status, answer, 400, agent.BadRequest)
	}
	if got := taps(t); len(got) > 0 || len(portsIn(t, engine)) != agent.MaxPorts {
		t.Errorf("got taps %q, and %d ports", got, len(portsIn(t, engine)))
	}
	status, answer := ask(t, engine, "PUT", portsPath, vifs(ids[0]))
	agenttest.WantOK(t, status, answer)
}

// TestPortsThatCannotBeRead: a container without its network would be worse than none.
func TestPortsThatCannotBeRead(t *testing.T) {
	engine := withImage(t, firstPort)
	if err := os.WriteFile(filepath.Join(engine.State, enginetest.ServerID, "ports.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, spec(t))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if len(engine.Containers) != 0 {
		t.Errorf("got %v", engine.Containers)
	}
}

func TestGetPorts(t *testing.T) {
	status, body := ask(t, withImage(t, secondPort, firstPort), "GET", agenttest.ServerPath+"/ports", "")
	agenttest.WantOK(t, status, body)
	if want := `["` + secondPort + `","` + firstPort + `"]`; strings.TrimSpace(body) != want {
		t.Errorf("got %s, want %s", body, want)
	}
	status, body = ask(t, enginetest.New(), "GET", agenttest.ServerPath+"/ports", "")
	if agenttest.WantOK(t, status, body); strings.TrimSpace(body) != "[]" {
		t.Errorf("got %s", body)
	}
}
