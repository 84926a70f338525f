// Package instance has the verbs of a hypervisor, for Nova's servers as containers: create, start, stop, plug, back up,
// rescue, snapshot, delete. All that it must remember stands in labels of containers and in a directory for each server, so
// that the agent can be restarted at any moment. Verbs of one server do not overlap. Errors that a caller can act on are
// *agent.Fault.
package instance

import (
	"log/slog"
	"path/filepath"

	"ndock/docker/agent/config"
	"ndock/docker/agent/devices"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/keylock"
	"ndock/docker/agent/runtimes"
	"ndock/docker/engine"
	"ndock/docker/engine/layerfiles"
	"ndock/docker/network"
)

// Options are what the verbs need to know of this host.
type Options struct {
	State      string // directory of what Docker cannot keep for servers
	Namespaces string // directory in which the networks of running containers are kept
	Names      string // directory of their copies of /etc/hosts and its like
	Choices    string // directory of which runtime they have
	Marks      string // directory of which ran out of memory
	Runtimes   *runtimes.Runtimes
	Config     config.Config
	Kernel     network.Kernel
	Specs      []string // directories of CDI specifications
	Space      *diskspace.Reservations
}

// Instances are the servers of this host, with the verbs by subject.
type Instances struct {
	Containers *Containers
	Creator    *Creator
	Power      *Power
	Ports      *Ports
	Passwords  *Passwords
	Backups    *Backups
	Snapshots  *Snapshots
	Reports    *Reports
	Remover    *Remover
	Orphans    *Orphans
	Pauses     *Pauses
	Devices    *devices.Devices
}

// New returns the servers of an engine.
func New(docker engine.Docker, options Options, log *slog.Logger) *Instances {
	var (
		dirs       = directories{options.State}
		containers = &Containers{engine: docker, marks: options.Marks}
		devices    = devices.New(options.State, options.Specs, options.Config.Devices)
		verbs      = &verbs{locks: keylock.New(), containers: containers}
		records    = newCommitRecords(filepath.Join(filepath.Dir(options.State), "commits"))
		pauses     = &Pauses{engine: docker, containers: containers, verbs: verbs, dirs: dirs, log: log}
		room       = diskspace.NewRoom(docker, options.Space)
		commits    = &commits{engine: docker, records: records, pauses: pauses, room: room}
		plugger    = &plugger{dirs: dirs, kernel: options.Kernel, log: log}
		names      = &names{plugger: plugger, dirs: dirs, copies: options.Names, log: log}
		choices    = &choices{engine: docker, runtimes: options.Runtimes, dirs: dirs, dir: options.Choices, marks: options.Marks}
		runner     = &runner{engine: docker, plugger: plugger, names: names, pauses: pauses, commits: commits, choices: choices, devices: devices}
		remover    = &Remover{engine: docker, containers: containers, verbs: verbs, dirs: dirs, plugger: plugger, commits: commits, choices: choices}
		backups    = &Backups{engine: docker, containers: containers, verbs: verbs, runner: runner, remover: remover, devices: devices, log: log}
	)
	return &Instances{
		Containers: containers,
		Creator:    &Creator{engine: docker, containers: containers, verbs: verbs, dirs: dirs, names: names, commits: commits, choices: choices, devices: devices, config: options.Config, remover: remover, log: log},
		Power:      &Power{verbs: verbs, runner: runner, backups: backups},
		Ports:      &Ports{containers: containers, verbs: verbs, plugger: plugger, names: names, choices: choices, bridges: options.Config.Bridges},
		Passwords:  &Passwords{engine: docker, verbs: verbs, pauses: pauses},
		Backups:    backups,
		Snapshots:  &Snapshots{engine: docker, containers: containers, verbs: verbs, commits: commits, room: room, held: newHeldCommits(), sizes: new(layerfiles.Sizes), whole: options.Config.WholeSnapshots, log: log},
		Reports:    &Reports{engine: docker, containers: containers, dirs: dirs, devices: devices},
		Remover:    remover,
		Orphans: &Orphans{
			engine: docker, containers: containers, verbs: verbs, dirs: dirs, remover: remover, commits: commits, choices: choices,
			namespaces: options.Namespaces, copies: options.Names, log: log,
		},
		Pauses:  pauses,
		Devices: devices,
	}
}
