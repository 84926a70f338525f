package instance_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/server"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network"
	"ndock/docker/network/networktest"
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
func withoutIPv6(t *testing.T, engine *enginetest.Engine) (*server.Server, *bytes.Buffer) {
	t.Helper()
	said := new(bytes.Buffer)
	options := server.Options{State: agenttest.StateOf(t, engine), Kernel: network.Kernel{NoIPv6: true}}
	return server.New(t.Context(), engine, options, config.Default(), slog.New(slog.NewTextHandler(said, nil))), said
}

func TestPlugWithoutIPv6(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	s, said := withoutIPv6(t, engine)
	status, body := askServer(t, s, "PUT", portsPath, "["+dualStack(firstPort)+"]")
	agenttest.WantOK(t, status, body)
	wantPorts(t, engine, firstPort)
	if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "port "+firstPort+" goes without fd00::5: this host's kernel has no IPv6") {
		t.Errorf("said %s", said)
	}
	if ports := portsIn(t, engine); len(ports[0].Subnets) != 2 {
		t.Errorf("recorded are %v: it is lost when the host has IPv6 again", ports[0].Subnets)
	}
	dir := filepath.Join(engine.State, enginetest.ServerID)
	instances := newInstances(engine, instance.Options{State: engine.State, Kernel: network.Kernel{NoIPv6: true}})
	if err := instances.Ports.WriteNames(enginetest.ServerID, dir, &container.Config{Hostname: "web"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hosts": "127.0.0.1\tlocalhost\n10.0.0.5\tweb\n", "resolv.conf": ""} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

// TestAPortOfIPv6AloneWithoutIPv6 is refused before anything is made for it.
func TestAPortOfIPv6AloneWithoutIPv6(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	s, _ := withoutIPv6(t, engine)
	for path, body := range map[string]string{portsPath: "[" + ipv6Alone(firstPort) + "]", portsPath + "/" + firstPort: ipv6Alone(firstPort)} {
		status, answer := askServer(t, s, "PUT", path, body)
		agenttest.WantFault(t, status, answer, 500, agent.Failed)
		if !strings.Contains(answer, "port "+firstPort+" has IPv6 addresses alone (fd00::5), and this host's kernel has no IPv6 (as with ipv6.disable=1") {
			t.Errorf("answered %s", answer)
		}
		wantPorts(t, engine)
	}
}

// TestAPortOfIPv6AloneWithASmallMTU is refused as what no host can do, whatever this one can: no other need be tried.
func TestAPortOfIPv6AloneWithASmallMTU(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	withIPv6 := newServer(t, engine, server.Options{State: agenttest.StateOf(t, engine)})
	without, _ := withoutIPv6(t, engine)
	small := strings.Replace(ipv6Alone(firstPort), `"mtu":1450`, `"mtu":576`, 1)
	for _, s := range []*server.Server{withIPv6, without} {
		status, answer := askServer(t, s, "PUT", portsPath, "["+small+"]")
		agenttest.WantFault(t, status, answer, 422, agent.UnusablePort)
		if !strings.Contains(answer, "its MTU of 576 is below the 1280 that IPv6 needs") {
			t.Errorf("answered %s", answer)
		}
		wantPorts(t, engine)
	}
}

// TestAServersPortOfIPv6AloneWithoutIPv6: the host was booted anew. Nova plugs it in whenever nova-compute starts.
func TestAServersPortOfIPv6AloneWithoutIPv6(t *testing.T) {
	networktest.Own(t)
	engine := enginetest.New()
	status, body := ask(t, engine, "PUT", portsPath, "["+ipv6Alone(firstPort)+"]")
	agenttest.WantOK(t, status, body)
	s, said := withoutIPv6(t, engine)
	status, body = askServer(t, s, "PUT", portsPath, "["+ipv6Alone(firstPort)+"]")
	if agenttest.WantOK(t, status, body); !strings.Contains(said.String(), "level=WARN") {
		t.Errorf("said %s", said)
	}
}

// TestTheOperatorsBridges are allowed beside Neutron's own. The kernel refuses the port later, so that none is plugged here.
func TestTheOperatorsBridges(t *testing.T) {
	port := strings.Replace(ipv6Alone(firstPort), "brq0b6ba3c1-5a", "br-provider", 1)
	for _, allowed := range []bool{true, false} {
		operators, want := config.Default(), agent.BadRequest
		if allowed {
			operators.Bridges, want = []string{"br-provider"}, agent.Failed
		}
		options := server.Options{State: t.TempDir(), Kernel: network.Kernel{NoIPv6: true}}
		s := server.New(t.Context(), enginetest.New(), options, operators, agenttest.Quiet())
		_, body := askServer(t, s, "PUT", portsPath, "["+port+"]")
		if !strings.Contains(body, `"code":"`+want+`"`) {
			t.Errorf("allowed %t: got %s", allowed, body)
		}
	}
}
