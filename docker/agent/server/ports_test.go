package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	dockernetwork "github.com/docker/docker/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// ownNetwork gives the rest of the test a network of its own. Its thread is never unlocked: it ends with the test,
// and so does the network. Whatever is asked of the agent must be asked on that thread.
func ownNetwork(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make links")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
}

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

// taps are the host's ends of cables in this thread's network.
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

// wantPorts checks the cables and the networks: one of each for a port, and none for none.
func wantPorts(t *testing.T, engine *engine, ids ...string) {
	t.Helper()
	var wantTaps, wantNetworks []string
	for index, id := range ids {
		wantTaps = append(wantTaps, network.Port{ID: id}.Tap())
		wantNetworks = append(wantNetworks, networkName(index, id))
	}
	if got := taps(t); !slices.Equal(got, wantTaps) {
		t.Errorf("got taps %q, want %q", got, wantTaps)
	}
	if got := slices.Sorted(maps.Keys(engine.networks)); !slices.Equal(got, wantNetworks) {
		t.Errorf("got networks %q, want %q", got, wantNetworks)
	}
}

const portsPath = serverPath + "/ports"

func TestPlugAndDelete(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	engine.putServer(container.StateExited)
	for range 2 { // as whenever Nova starts
		status, body := ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
		wantOK(t, status, body)
		wantPorts(t, engine, firstPort, secondPort)
	}
	for range 2 {
		status, body := ask(t, engine, "DELETE", serverPath, vifs(firstPort, secondPort))
		wantOK(t, status, body)
		wantPorts(t, engine)
	}
	if len(engine.containers) != 0 {
		t.Errorf("containers %v stay", engine.containers)
	}
}

// TestDeleteFindsItsPorts: Nova need not remember them, as when it is told to clean up what it has forgotten.
func TestDeleteFindsItsPorts(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
	status, body := ask(t, engine, "DELETE", serverPath, "[]")
	wantOK(t, status, body)
	wantPorts(t, engine)
}

// TestDeleteOfACableWithoutANetwork, which Docker has lost.
func TestDeleteOfACableWithoutANetwork(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	ask(t, engine, "PUT", portsPath, vifs(firstPort))
	clear(engine.networks)
	status, body := ask(t, engine, "DELETE", portsPath, vifs(firstPort))
	wantOK(t, status, body)
	wantPorts(t, engine)
}

// TestUnplugGoesOn: one network that Docker does not remove keeps no other port.
func TestUnplugGoesOn(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	ask(t, engine, "PUT", portsPath, vifs(firstPort, secondPort))
	engine.fail["NetworkRemove"] = errAway
	status, body := ask(t, engine, "DELETE", portsPath, "[]")
	wantFault(t, status, body, 500, agent.Failed)
	if got := taps(t); len(got) != 0 {
		t.Errorf("taps %q stay", got)
	}
}

func TestTheNetworkIsThePort(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	ask(t, engine, "PUT", portsPath, vifs(firstPort))
	made := engine.networks[networkName(0, firstPort)]
	if made.Driver != network.Driver || made.IPAM.Driver != "null" || made.Labels[labelServer] != serverID || made.Labels[labelPort] != firstPort {
		t.Errorf("got %+v", made)
	}
	var port network.Port
	if err := json.Unmarshal([]byte(made.Options[network.PortOption]), &port); err != nil || port.ID != firstPort || port.MTU != 1450 {
		t.Errorf("got %+v, %v", port, err)
	}
}

// TestNoCableWithoutANetwork: nothing would say whose it is.
func TestNoCableWithoutANetwork(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	engine.fail["NetworkCreate"] = errAway
	status, body := ask(t, engine, "PUT", portsPath, vifs(firstPort))
	wantFault(t, status, body, 500, agent.Failed)
	if got := taps(t); len(got) != 0 {
		t.Errorf("got taps %q", got)
	}
}

// TestPortsAreCheckedFirst: when one of them cannot be plugged, none is.
func TestPortsAreCheckedFirst(t *testing.T) {
	for name, body := range map[string]string{
		"the second is of a type that is not plugged": "[" + vif(firstPort, "bridge") + "," + vif(secondPort, "hw_veb") + "]",
		"the second has no id":                        "[" + vif(firstPort, "bridge") + "," + vif("", "bridge") + "]",
		"no list":                                     vif(firstPort, "bridge"),
		"no JSON":                                     "[",
	} {
		engine := newEngine()
		status, answer := ask(t, engine, "PUT", portsPath, body)
		if status != 400 {
			t.Errorf("%s: got %d %s", name, status, answer)
		}
		wantCalls(t, engine)
	}
	engine := newEngine()
	status, answer := ask(t, engine, "PUT", "/v1/instances/web/ports", vifs(firstPort))
	wantFault(t, status, answer, 400, agent.BadRequest)
	wantCalls(t, engine)
}

func TestPortsOf(t *testing.T) {
	engine := withImage(t, firstPort, secondPort)
	engine.networks["bridge"] = dockernetwork.Summary{Name: "bridge", Driver: "bridge", Labels: map[string]string{labelServer: serverID}}
	got, err := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).portsOf(t.Context(), serverID)
	if err != nil || len(got) != 2 || got[0].ID != firstPort || got[1].ID != secondPort {
		t.Errorf("got %+v, %v", got, err)
	}
	if other, err := New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).portsOf(t.Context(), imageID); len(other) != 0 || err != nil {
		t.Errorf("another server has %+v, %v", other, err)
	}
}

func TestPortsOfAStrangeNetwork(t *testing.T) {
	for name, change := range map[string]func(n dockernetwork.Summary){
		"no options": func(n dockernetwork.Summary) { delete(n.Options, network.PortOption) },
		"no index":   func(n dockernetwork.Summary) { delete(n.Labels, labelIndex) },
	} {
		engine := withImage(t, firstPort)
		change(engine.networks[networkName(0, firstPort)])
		w := httptest.NewRecorder()
		New(t.Context(), engine, Options{Version: "1.0", State: t.TempDir()}, quiet()).Handler().ServeHTTP(w, httptest.NewRequest("PUT", serverPath, strings.NewReader(spec(t))))
		if w.Code != 500 || len(engine.containers) != 0 {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
}

// TestOrderOfInterfaces: Docker numbers them by the names of their networks.
func TestOrderOfInterfaces(t *testing.T) {
	names := []string{networkName(0, secondPort), networkName(1, firstPort), networkName(9, firstPort), networkName(10, firstPort)}
	if !slices.IsSorted(names) {
		t.Errorf("got %q", names)
	}
}

func TestGetPorts(t *testing.T) {
	status, body := ask(t, withImage(t, secondPort, firstPort), "GET", serverPath+"/ports", "")
	wantOK(t, status, body)
	if want := `["` + secondPort + `","` + firstPort + `"]`; strings.TrimSpace(body) != want {
		t.Errorf("got %s, want %s", body, want)
	}
	status, body = ask(t, newEngine(), "GET", serverPath+"/ports", "")
	if wantOK(t, status, body); strings.TrimSpace(body) != "[]" {
		t.Errorf("got %s", body)
	}
}
