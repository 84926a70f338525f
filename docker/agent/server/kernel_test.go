package server

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/network"
)

// dualStack is a port with an address of each family; without the first subnet it has IPv6 alone.
func dualStack(id string) string {
	return strings.Replace(vif(id, "bridge"), `"ips":[{"address":"10.0.0.5"}]}`,
		`"ips":[{"address":"10.0.0.5"}]},{"cidr":"fd00::/64","dns":[{"address":"fd00::2"}],"ips":[{"address":"fd00::5"}]}`, 1)
}

func ipv6Alone(id string) string {
	return strings.Replace(dualStack(id), `"ips":[{"address":"10.0.0.5"}]`, `"ips":[]`, 1)
}

// withoutIPv6 is an agent on a host whose kernel was booted with ipv6.disable=1, and what it says in its log.
func withoutIPv6(t *testing.T, engine *engine) (*Server, *bytes.Buffer) {
	t.Helper()
	said := new(bytes.Buffer)
	options := Options{State: stateOf(t, engine), Kernel: network.Kernel{NoIPv6: true}}
	return New(t.Context(), engine, options, slog.New(slog.NewTextHandler(said, nil))), said
}

func TestPlugWithoutIPv6(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	s, said := withoutIPv6(t, engine)
	status, body := askServer(t, s, "PUT", portsPath, "["+dualStack(firstPort)+"]")
	wantOK(t, status, body)
	wantPorts(t, engine, firstPort)
	if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "port "+firstPort+" goes without fd00::5: this host's kernel has no IPv6") {
		t.Errorf("said %s", said)
	}
	if ports := portsIn(t, engine); len(ports[0].Subnets) != 2 {
		t.Errorf("written down are %v: it is lost when the host has IPv6 again", ports[0].Subnets)
	}
	if err := s.writeNames(serverID, s.serverDir(serverID), "web", ""); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hosts": "127.0.0.1\tlocalhost\n10.0.0.5\tweb\n", "resolv.conf": ""} {
		if got, err := os.ReadFile(filepath.Join(s.serverDir(serverID), name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// TestAPortOfIPv6AloneWithoutIPv6 is refused before anything is made for it.
func TestAPortOfIPv6AloneWithoutIPv6(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	engine.putServer(container.StateExited)
	s, _ := withoutIPv6(t, engine)
	for path, body := range map[string]string{portsPath: "[" + ipv6Alone(firstPort) + "]", portsPath + "/" + firstPort: ipv6Alone(firstPort)} {
		status, answer := askServer(t, s, "PUT", path, body)
		wantFault(t, status, answer, 500, agent.Failed)
		if !strings.Contains(answer, "port "+firstPort+" has IPv6 addresses alone (fd00::5), and this host's kernel has no IPv6 (as with ipv6.disable=1") {
			t.Errorf("answered %s", answer)
		}
		wantPorts(t, engine)
	}
}

// TestAPortOfIPv6AloneWithASmallMTU is refused as what no host can do, whatever this one can: no other need be tried.
func TestAPortOfIPv6AloneWithASmallMTU(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	withIPv6 := New(t.Context(), engine, Options{State: stateOf(t, engine)}, quiet())
	without, _ := withoutIPv6(t, engine)
	small := strings.Replace(ipv6Alone(firstPort), `"mtu":1450`, `"mtu":576`, 1)
	for _, s := range []*Server{withIPv6, without} {
		status, answer := askServer(t, s, "PUT", portsPath, "["+small+"]")
		wantFault(t, status, answer, 422, agent.UnusablePort)
		if !strings.Contains(answer, "its MTU of 576 is below the 1280 that IPv6 needs") {
			t.Errorf("answered %s", answer)
		}
		wantPorts(t, engine)
	}
}

// TestAServersPortOfIPv6AloneWithoutIPv6: the host was booted anew. Nova plugs it in whenever nova-compute starts.
func TestAServersPortOfIPv6AloneWithoutIPv6(t *testing.T) {
	ownNetwork(t)
	engine := newEngine()
	status, body := ask(t, engine, "PUT", portsPath, "["+ipv6Alone(firstPort)+"]")
	wantOK(t, status, body)
	s, said := withoutIPv6(t, engine)
	status, body = askServer(t, s, "PUT", portsPath, "["+ipv6Alone(firstPort)+"]")
	if wantOK(t, status, body); !strings.Contains(said.String(), "level=WARN") {
		t.Errorf("said %s", said)
	}
}

func TestAHostWithoutIPv6(t *testing.T) {
	engine := newEngine()
	s, said := withoutIPv6(t, engine)
	status, body := askServer(t, s, "GET", "/v1/host", "")
	wantOK(t, status, body)
	var host agent.Host
	if err := json.Unmarshal([]byte(body), &host); err != nil || len(host.Lacks) != 1 || !strings.Contains(host.Lacks[0], "no IPv6") {
		t.Errorf("got %q, %v", host.Lacks, err)
	}
	s.introduce(t.Context())
	if !strings.Contains(said.String(), "ipv6.disable=1") {
		t.Errorf("said %s", said)
	}
}
