package commands

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/ociruntime/program"
	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/steps"
	"ndock/openstack/node/system"
)

func nodeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "node",
		Usage: "Manage this machine as a compute node of Docker",
		Description: examples(
			"ndock node setup --dry-run",
			"ndock node status"),
		Subcommands: slices.Concat(
			categorized("Setup", nodeSetupCommand(s), nodeTeardownCommand(s), nodeStatusCommand(s)),
			categorized("Service", nodeAgentCommand(s), nodeRuntimeCommand(s), nodeHookCommand(s))),
	}
}

// withMachine has this machine to itself, as root, while act changes it. The command's words are for who is not root.
func withMachine(c *cli.Context, s Streams, command string, act func(steps.Machine) error) (err error) {
	if err := system.NeedRoot(os.Geteuid(), command); err != nil {
		return err
	}
	machine, err := newMachine(c, s, "/")
	if err != nil {
		return err
	}
	unlock, err := system.Lock(system.LockFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return act(machine)
}

// newMachine returns what the steps of a node work with, on the machine whose files are under a root.
func newMachine(c *cli.Context, s Streams, root string) (steps.Machine, error) {
	named, err := namedNova(c)
	if err != nil {
		return steps.Machine{}, err
	}
	layout, err := findLayout(c.String("role"), root, named)
	if err != nil {
		return steps.Machine{}, err
	}
	host, err := layout.Host()
	if err != nil {
		return steps.Machine{}, err
	}
	completions, err := completionFiles()
	if err != nil {
		return steps.Machine{}, err
	}
	return steps.Machine{
		Layout: layout, Host: host, Commands: system.Shell{}, Services: system.FindServices(root, system.Shell{}),
		Program: "/proc/self/exe", Timeouts: steps.DefaultTimeouts(), AgentConfig: config.Commented(), Runtime: program.Content(),
		Completions: completions, Force: c.Bool("force"), OtherMachines: root != "/",
		EngineInfo: func(ctx context.Context) (steps.EngineInfo, error) {
			return engineInfo(ctx, layout.Path("/run/docker.sock"))
		},
		AgentVersion: func(ctx context.Context) (string, error) { return agentVersion(ctx, layout.Path(agent.Socket)) },
		AgentState:   func(ctx context.Context) (string, error) { return agentState(ctx, layout.Path(agent.Socket)) },
		Orphans:      orphans{layout.Path(agent.Socket), agent.ShortTimeout + answerLimit, layout.Path("/run/docker.sock")}, // the agent ends a removal first
		Nova:         func(context.Context) (steps.Cloud, error) { return namedCloud(c, s) },
		Glance:       func(context.Context) (steps.Definitions, error) { return namedCloud(c, s) },
	}, nil
}

// answerLimit is for questions that are answered at once or not at all.
const answerLimit = 10 * time.Second

func agentVersion(ctx context.Context, socket string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	version, err := agent.NewClient(socket).Version(ctx)
	return version.Agent, err
}

func agentState(ctx context.Context, socket string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return agent.NewClient(socket).Status(ctx)
}

// namedCloud opens the cloud that the user names. Setup works without one.
func namedCloud(c *cli.Context, s Streams) (*openstack.Cloud, error) {
	if c.String("os-cloud") == "" && c.String("os-auth-url") == "" && os.Getenv("OS_AUTH_URL") == "" {
		return nil, &node.Unchecked{Why: "no cloud is named (OS_CLOUD, --os-cloud, or an openrc; sudo takes them out of the environment)"}
	}
	return openCloud(c, s)
}
