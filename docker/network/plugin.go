// Package network gives containers Neutron's ports. It is a network plugin of Docker (a libnetwork remote driver):
// each port is a Docker network of its own, and Docker moves the port's cable into the container, with the
// addresses that Neutron chose, before the first process starts; at every start anew.
package network

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/docker/docker/api/types/network"
	plugin "github.com/docker/go-plugins-helpers/network"
)

const (
	// Driver is the plugin's name: that of its socket, and of the driver of a port's Docker network.
	Driver = "ndock"
	// PortOption is the option of the Docker network that holds the Port, as JSON.
	PortOption = "ndock.port"
)

// patience is how long Docker may take to say what a network's options are, while it waits for the answer to its own
// question: it gives that up after 30 s.
const patience = 20 * time.Second

// genericOptions is where libnetwork puts the options of a network that it does not know itself.
const genericOptions = "com.docker.network.generic"

// Inspector is what the plugin asks of Docker after a restart: the options of a network that it does not know yet.
type Inspector interface {
	NetworkInspect(ctx context.Context, id string, options network.InspectOptions) (network.Inspect, error)
}

// Plugin answers Docker's questions about the networks of this driver.
type Plugin struct {
	docker Inspector
	log    *slog.Logger

	mu    sync.Mutex
	ports map[string]Port // by Docker's network id: only to ask Docker less often
}

// NewPlugin is to be served by plugin.NewHandler.
func NewPlugin(docker Inspector, log *slog.Logger) *Plugin {
	return &Plugin{docker: docker, log: log, ports: map[string]Port{}}
}

var _ plugin.Driver = (*Plugin)(nil)

// GetCapabilities says that networks exist on this host only.
func (p *Plugin) GetCapabilities() (*plugin.CapabilitiesResponse, error) {
	return &plugin.CapabilitiesResponse{Scope: plugin.LocalScope, ConnectivityScope: plugin.LocalScope}, nil
}

// CreateNetwork takes note of the port that the network stands for.
func (p *Plugin) CreateNetwork(r *plugin.CreateNetworkRequest) error {
	options, _ := r.Options[genericOptions].(map[string]any)
	text, _ := options[PortOption].(string)
	port, err := parsePort(text)
	if err != nil {
		return fmt.Errorf("networks of driver %s are made by ndock's agent only: %w", Driver, err)
	}
	p.remember(r.NetworkID, port)
	return nil
}

// DeleteNetwork forgets it.
func (p *Plugin) DeleteNetwork(r *plugin.DeleteNetworkRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ports, r.NetworkID)
	return nil
}

// CreateEndpoint answers with the port's MAC and addresses.
func (p *Plugin) CreateEndpoint(r *plugin.CreateEndpointRequest) (*plugin.CreateEndpointResponse, error) {
	port, err := p.port(r.NetworkID)
	if err != nil {
		return nil, err
	}
	answer := plugin.EndpointInterface{}
	if r.Interface == nil || r.Interface.MacAddress == "" {
		answer.MacAddress = port.MAC
	}
	if port.IPv4.IsValid() && (r.Interface == nil || r.Interface.Address == "") {
		answer.Address = port.IPv4.String()
	}
	if port.IPv6.IsValid() && (r.Interface == nil || r.Interface.AddressIPv6 == "") {
		answer.AddressIPv6 = port.IPv6.String()
	}
	return &plugin.CreateEndpointResponse{Interface: &answer}, nil
}

// Join hands out the container's end of the cable, which it makes anew where a container took it to its grave.
func (p *Plugin) Join(r *plugin.JoinRequest) (*plugin.JoinResponse, error) {
	port, err := p.port(r.NetworkID)
	if err != nil {
		return nil, err
	}
	if err := Plug(port); err != nil {
		return nil, err
	}
	p.log.Info("port joins a container", "port", port.ID, "tap", port.Tap())
	if port.HasExtra() {
		go p.settle(port, r.SandboxKey) // when Docker has moved the cable, which it does after this answer
	}
	return port.join(), nil
}

// settle waits for the interface: libnetwork tells no one when it has moved it.
func (p *Plugin) settle(port Port, sandbox string) {
	var done bool
	var err error
	for until := time.Now().Add(patience); !done && err == nil && time.Now().Before(until); {
		time.Sleep(time.Millisecond) // the container's first process is about to start, and does not wait
		done, err = Settle(port, sandbox)
	}
	if !done {
		p.log.Error("port has not all its addresses", "port", port.ID, "error", err)
	}
}

func (p Port) join() *plugin.JoinResponse {
	answer := &plugin.JoinResponse{
		InterfaceName: plugin.InterfaceName{SrcName: p.peer(), DstPrefix: "eth"},
		// Else Docker adds a bridge of its own where the port has no gateway: a way round Neutron.
		DisableGatewayService: true,
	}
	if p.Gateway.IsValid() {
		answer.Gateway = p.Gateway.String()
	}
	if p.GatewayIPv6.IsValid() {
		answer.GatewayIPv6 = p.GatewayIPv6.String()
	}
	for _, route := range p.Routes {
		answer.StaticRoutes = append(answer.StaticRoutes,
			&plugin.StaticRoute{Destination: route.To.String(), NextHop: route.Via.String()})
	}
	return answer
}

// port finds the port of a network, in Docker after a restart of the agent.
func (p *Plugin) port(networkID string) (Port, error) {
	p.mu.Lock()
	port, known := p.ports[networkID]
	p.mu.Unlock()
	if known {
		return port, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := p.docker.NetworkInspect(ctx, networkID, network.InspectOptions{})
	if err != nil {
		return Port{}, fmt.Errorf("look up network %s: %w", networkID, err)
	}
	if port, err = parsePort(found.Options[PortOption]); err == nil {
		p.remember(networkID, port)
	}
	return port, err
}

func (p *Plugin) remember(networkID string, port Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports[networkID] = port
}

func parsePort(text string) (Port, error) {
	var port Port
	if err := json.Unmarshal([]byte(text), &port); err != nil {
		return Port{}, fmt.Errorf("option %s: %w", PortOption, err)
	}
	if len(port.ID) < idInName {
		return Port{}, fmt.Errorf("option %s names no port", PortOption)
	}
	return port, nil
}

// The rest of the protocol asks for nothing here: the cable lives and dies with the port, not with the container.

// Leave keeps the cable, for the next start.
func (p *Plugin) Leave(*plugin.LeaveRequest) error { return nil }

// DeleteEndpoint keeps the cable, for the next start.
func (p *Plugin) DeleteEndpoint(*plugin.DeleteEndpointRequest) error { return nil }

// EndpointInfo has nothing to add.
func (p *Plugin) EndpointInfo(*plugin.InfoRequest) (*plugin.InfoResponse, error) {
	return &plugin.InfoResponse{Value: map[string]string{}}, nil
}

// AllocateNetwork is Swarm's.
func (p *Plugin) AllocateNetwork(*plugin.AllocateNetworkRequest) (*plugin.AllocateNetworkResponse, error) {
	return &plugin.AllocateNetworkResponse{}, nil
}

// FreeNetwork is Swarm's.
func (p *Plugin) FreeNetwork(*plugin.FreeNetworkRequest) error { return nil }

// DiscoverNew is Swarm's.
func (p *Plugin) DiscoverNew(*plugin.DiscoveryNotification) error { return nil }

// DiscoverDelete is Swarm's.
func (p *Plugin) DiscoverDelete(*plugin.DiscoveryNotification) error { return nil }

// ProgramExternalConnectivity is for published ports: Neutron's security groups and floating IPs are that here.
func (p *Plugin) ProgramExternalConnectivity(*plugin.ProgramExternalConnectivityRequest) error {
	return nil
}

// RevokeExternalConnectivity is its opposite.
func (p *Plugin) RevokeExternalConnectivity(*plugin.RevokeExternalConnectivityRequest) error {
	return nil
}
