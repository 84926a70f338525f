package commands

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/openstack/node"
)

func nodeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:        "node",
		Usage:       "Make this machine a compute node of Docker, and look after it",
		Subcommands: []*cli.Command{nodeSetupCommand(s), nodeTeardownCommand(s), nodeStatusCommand(s), nodeAgentCommand(s), nodeRuntimeCommand(), nodeHookCommand(s)},
	}
}

// layoutFlags name an installation of Nova that is not found by looking.
func layoutFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nova-python", TakesFile: true, Usage: "the Python that Nova runs on, where its installation is not one that is known: a `PATH`, as of a virtual environment"},
		&cli.StringFlag{Name: "nova-conf", TakesFile: true, Usage: "what its nova-compute reads: a `PATH`"},
		&cli.StringFlag{Name: "service", Usage: "the `NAME` of its nova-compute for the service manager"},
		&cli.StringFlag{Name: "nova-user", Value: "nova", Usage: "who its nova-compute runs as: a name or a number"},
		rootFlag(),
	}
}

// namedNova is the installation that the flags name: with all three, or none.
func namedNova(c *cli.Context) (node.Named, error) {
	named := node.Named{Python: c.String("nova-python"), Conf: c.String("nova-conf"), Service: c.String("service"), User: c.String("nova-user")}
	given := 0
	for _, value := range []string{named.Python, named.Conf, named.Service} {
		if value != "" {
			given++
		}
	}
	if given != 0 && given != 3 {
		return named, misused(c, "--nova-python, --nova-conf and --service go together")
	}
	return named, nil
}

// rootFlag is for tests: commands that change nothing may look at a tree that is not this machine's.
func rootFlag() cli.Flag { return &cli.StringFlag{Name: "root", Value: "/", Hidden: true} }

// thisMachine joins what the steps of a node need.
func thisMachine(c *cli.Context, s Streams, root string) (node.Machine, error) {
	named, err := namedNova(c)
	if err != nil {
		return node.Machine{}, err
	}
	layout, err := node.Find(root, named)
	if err != nil {
		return node.Machine{}, err
	}
	host, err := layout.Host()
	if err != nil {
		return node.Machine{}, err
	}
	completions, err := completionFiles()
	if err != nil {
		return node.Machine{}, err
	}
	return node.Machine{
		Layout: layout, Host: host, Commands: node.Shell{}, Services: node.FindServices(layout, node.Shell{}),
		Program: "/proc/self/exe", Patience: node.Patient(), Rules: config.Commented(), Completions: completions, Force: c.Bool("force"),
		EngineFacts: func(ctx context.Context) (node.EngineFacts, error) {
			return engineFacts(ctx, layout.Path("/run/docker.sock"))
		},
		AgentVersion: func(ctx context.Context) (string, error) { return agentVersion(ctx, layout.Path(agent.Socket)) },
		RootDisks:    func(ctx context.Context) (string, error) { return rootDisks(ctx, layout.Path(agent.Socket)) },
		Orphans:      orphans{layout.Path(agent.Socket)},
		Nova:         func(context.Context) (node.Hypervisors, error) { return hypervisors(c, s) },
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

// rootDisks asks the agent whether it holds servers to the disks of their flavors.
func rootDisks(ctx context.Context, socket string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	host, err := agent.NewClient(socket).Host(ctx)
	switch {
	case err != nil:
		return "", err
	case host.RootDisks.Limited:
		return "root disks are limited by " + host.RootDisks.Reason, nil
	}
	return "root disks are not limited: " + host.RootDisks.Reason, nil
}

// hypervisors opens Nova's API, which setup can do without.
func hypervisors(c *cli.Context, s Streams) (node.Hypervisors, error) {
	if c.String("os-cloud") == "" && os.Getenv("OS_AUTH_URL") == "" {
		return nil, &node.Unchecked{Why: "no cloud is named (OS_CLOUD, --os-cloud, or an openrc; sudo takes them out of the environment)"}
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return nil, err
	}
	return cloud, nil
}
