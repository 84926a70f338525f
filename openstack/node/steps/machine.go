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
	Runtime     []byte // the program ndock-runtime; nil where this ndock has none, and is called itself
	Timeouts    Timeouts
	AgentConfig []byte // the first content of the operator's file
	Force       bool   // also where servers would be lost

	OtherMachines bool // the files under the layout's root are not this machine's, whose Nova cannot be asked about them

	Completions []system.File // the man page, and the shells' completions

	EngineInfo   func(context.Context) (EngineInfo, error) // asks Docker Engine
	AgentVersion func(context.Context) (string, error)     // asks ndock's agent
	AgentState   func(context.Context) (string, error)     // asks it for a phrase on its state
	Orphans      Orphans                                   // what the agent finds
	// Nova opens the APIs. node.Unchecked is the error where there are no credentials for them.
	Nova func(context.Context) (Cloud, error)
	// Glance opens Glance's API, with the same error.
	Glance func(context.Context) (Definitions, error)
}

// EngineInfo is what Docker Engine says of itself.
type EngineInfo struct {
	Version     string
	LiveRestore bool              // containers run on without it
	Swarm       bool              // it is part of one
	Runtimes    map[string]string // their programs, by their names
	Running     int               // containers, paused ones included
	Containers  int               // all of them
	Images      int
	LogDriver   string   // of containers that name none
	Bridge      bool     // it has its default one
	Networked   []string // containers that use a network of Docker's, which servers do not
	Servers     []string // ids of those that have a container here
	Runc        string   // its version; empty where the engine does not tell
	Security    []string // what confines containers, as in `docker info`: apparmor, seccomp, selinux, userns
}

// Orphans finds what no server on this machine uses any more.
type Orphans interface {
	// Orphans returns a phrase on each: those that are sure, and those that may be of a server that is being made.
	Orphans(ctx context.Context) (sure, unsure []string, err error)
	// Remove removes those that are sure.
	Remove(ctx context.Context) error
	// RemoveImages removes Glance's images that no container uses, and returns how many.
	RemoveImages(ctx context.Context) (int, error)
}

// Cloud is what is asked of Nova's and Placement's APIs.
type Cloud interface {
	Hypervisors(ctx context.Context) ([]openstack.Hypervisor, error)
	// ServersOn lists the servers of all projects on a host.
	ServersOn(ctx context.Context, host string) ([]openstack.Server, error)
	// Holders returns the ids of the consumers that hold resources of a hypervisor's.
	Holders(ctx context.Context, hypervisor string) ([]string, error)
	// RemoveTraits removes traits of a hypervisor's, and returns those that it had.
	RemoveTraits(ctx context.Context, hypervisor string, traits []string) ([]string, error)
}

// Timeouts are how long each thing is waited for.
type Timeouts struct {
	Poll       time.Duration // between two tries
	Engine     time.Duration
	Agent      time.Duration
	Start      time.Duration // until nova-compute says that it is ready
	Compute    time.Duration // that nova-compute has to stay up to count as started
	Hypervisor time.Duration
	Nova       time.Duration // that its API may fail; zero where nobody is to wait
}

// DefaultTimeouts returns those for real machines.
func DefaultTimeouts() Timeouts {
	return Timeouts{Poll: 100 * time.Millisecond, Engine: time.Minute, Agent: 30 * time.Second, Start: system.ServiceLimit, Compute: 5 * time.Second, Hypervisor: 2 * time.Minute, Nova: 90 * time.Second}
}

// record returns the record of what setup did on this machine.
func (m Machine) record() record.Store { return record.Store(m.Layout.Root) }

// runtimeProgram returns what the engine is to call.
func (m Machine) runtimeProgram() string {
	if m.Runtime == nil {
		return m.Layout.AgentFile
	}
	return m.Layout.Runtime
}

// Steps returns what a compute node of Docker needs, in the order in which setup makes it.
func (m Machine) Steps() []node.Step {
	driver := &shim{Machine: m}
	conf := &config{Machine: m}
	service := &novaCompute{Machine: m, driver: driver, conf: conf}
	nova := &hypervisor{Machine: m, service: service}
	docker, ours := &engine{Machine: m}, &agent{Machine: m}
	host := []node.Step{docker}
	if m.hasSELinux() {
		host = append(host, &selinux{Machine: m})
	}
	if m.confines() {
		host = append(host, &apparmor{Machine: m})
	}
	host = append(host, ours)
	var last []node.Step
	if m.packaged() { // which has the man page and the completions
		last = append(last, &ofPackage{Machine: m, agent: ours})
	} else {
		host = append(host, &completions{Machine: m})
	}
	host = append(host, &daemonJSON{Machine: m, engine: docker, agent: ours}, &firewall{Machine: m}, &sysctl{Machine: m})
	files := []node.Step{driver}
	if m.Layout.Kolla {
		files = append(files, &kolla{Machine: m})
	}
	files = append(files, conf)
	if m.Layout.DeployTool != nil {
		files = append(files, &deployTool{Machine: m})
	}
	service.files = files
	return slices.Concat(host, files, []node.Step{
		service,
		nova,
		&orphans{Machine: m, service: service},
		&servers{Machine: m, conf: conf, nova: nova},
	}, last)
}
