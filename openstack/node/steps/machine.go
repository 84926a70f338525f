// Package steps has what a compute node of Docker needs, a file for each step: Docker Engine, ndock's agent, the driver in
// Nova, and what goes with them.
package steps

import (
	"context"
	"slices"
	"time"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// Machine is what the steps work with.
type Machine struct {
	Layout      layout.Layout
	Host        string // as Nova knows it
	Commands    system.Runner
	Services    system.Services
	Program     string // ndock itself
	Timeouts    Timeouts
	AgentConfig []byte // the operator's file, as it is where he has none yet
	Force       bool   // also where servers are lost

	Completions []system.File // the man page, and what shells complete ndock by

	EngineInfo   func(context.Context) (EngineInfo, error) // asks Docker Engine
	AgentVersion func(context.Context) (string, error)     // asks ndock's agent
	AgentState   func(context.Context) (string, error)     // asks it how it does, in a phrase
	Orphans      Orphans                                   // what the agent finds
	// Nova opens Nova's API. Unchecked is the error where there are no credentials for it.
	Nova func(context.Context) (Cloud, error)
}

// EngineInfo is what Docker Engine says of itself.
type EngineInfo struct {
	Version     string
	LiveRestore bool // containers run on without it
	Swarm       bool // it is part of one
	Runtimes    []string
	Running     int // containers, those included that are paused
	Containers  int // all of them
	Images      int
	LogDriver   string   // of containers that name none
	Bridge      bool     // it has its default one
	Networked   []string // containers that use a network of Docker's, which servers do not
	Servers     []string // that have a container here, by their ids
	Runc        string   // its version, empty where the engine does not tell
	Security    []string // what confines containers, as `docker info` names it: apparmor, seccomp, selinux, userns
}

// Orphans is what no server has any more on this machine.
type Orphans interface {
	// Orphans says what there is, a phrase each: what is sure to be one, and what may be a server that is being made.
	Orphans(ctx context.Context) (sure, unsure []string, err error)
	// Remove removes what is sure.
	Remove(ctx context.Context) error
}

// Cloud is what is asked of Nova's and Placement's APIs.
type Cloud interface {
	Hypervisors(ctx context.Context) ([]openstack.Hypervisor, error)
	// ServersOn lists the servers of all projects on a host.
	ServersOn(ctx context.Context, host string) ([]openstack.Server, error)
	// Holders are the ids of those who hold resources of a hypervisor's.
	Holders(ctx context.Context, hypervisor string) ([]string, error)
	// RemoveTraits takes traits from a hypervisor, and returns those that it had.
	RemoveTraits(ctx context.Context, hypervisor string, traits []string) ([]string, error)
}

// Timeouts are how long each thing is waited for.
type Timeouts struct {
	Poll       time.Duration // between two tries
	Engine     time.Duration
	Agent      time.Duration
	Start      time.Duration // that nova-compute may take until it says that it is ready
	Compute    time.Duration // that nova-compute has to stay up before it is believed
	Hypervisor time.Duration
}

// DefaultTimeouts returns those for real machines.
func DefaultTimeouts() Timeouts {
	return Timeouts{Poll: 100 * time.Millisecond, Engine: time.Minute, Agent: 30 * time.Second, Start: system.ServiceLimit, Compute: 5 * time.Second, Hypervisor: 2 * time.Minute}
}

// record returns the record of what setup did on this machine.
func (m Machine) record() record.Store { return record.Store(m.Layout.Root) }

// Steps returns what a compute node of Docker needs, in the order in which it has to come.
func (m Machine) Steps() []node.Step {
	driver := &shim{Machine: m}
	conf := &config{Machine: m}
	service := &novaCompute{Machine: m, driver: driver, conf: conf}
	nova := &hypervisor{Machine: m, service: service}
	docker := &engine{Machine: m}
	host := []node.Step{docker, &agent{Machine: m}, &completions{Machine: m}, &daemonJSON{Machine: m, engine: docker}, &firewall{Machine: m}, &sysctl{Machine: m}}
	files := []node.Step{driver}
	if m.Layout.Kolla {
		files = append(files, &kolla{Machine: m})
	}
	files = append(files, conf)
	if m.Layout.DeployTool != nil {
		files = append(files, &deployTool{Machine: m})
	}
	if m.Layout.Exists("/sys/fs/selinux/enforce") {
		files = append(files, &selinux{Machine: m, driver: driver})
	}
	service.files = files
	return append(slices.Concat(host, files),
		service,
		nova,
		&orphans{Machine: m},
		&servers{Machine: m, conf: conf, nova: nova},
	)
}
