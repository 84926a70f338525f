package commands

import (
	"github.com/urfave/cli/v2"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/steps"
)

// layoutFlags name an installation of Nova that is not found by looking.
func layoutFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nova-python", TakesFile: true, Usage: "`PATH` of the Python that Nova runs on, for an installation of Nova that ndock does not know"},
		&cli.StringFlag{Name: "nova-conf", TakesFile: true, Usage: "`PATH` of the configuration file that nova-compute reads"},
		&cli.StringFlag{Name: "service", Usage: "`NAME` of nova-compute's service"},
		&cli.StringFlag{Name: "nova-user", Value: "nova", Usage: "`USER` that nova-compute runs as, by name or number"},
		&cli.StringFlag{Name: "role", Value: compute, Usage: "`ROLE` of this machine in the cloud: " + compute + ", or " + controller + ", where Glance runs", Action: knownRole},
		rootFlag(),
	}
}

// The roles of a machine.
const (
	compute    = "compute"
	controller = "controller"
)

func knownRole(c *cli.Context, role string) error {
	if role != compute && role != controller {
		return misused(c, "there is no role %q; there are %s and %s", role, compute, controller)
	}
	return nil
}

// stepsOf returns the steps of a machine with this role.
func stepsOf(role string, machine steps.Machine) []node.Step {
	if role == controller {
		return machine.ControllerSteps()
	}
	return machine.Steps()
}

// describeRole returns what a machine with this role is.
func describeRole(role string) string {
	if role == controller {
		return "controller of Docker compute nodes"
	}
	return "Docker compute node"
}

// namedNova is the installation that the flags name: with all three, or none.
func namedNova(c *cli.Context) (layout.Custom, error) {
	named := layout.Custom{Python: c.String("nova-python"), Conf: c.String("nova-conf"), Service: c.String("service"), User: c.String("nova-user")}
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

func findLayout(role, root string, named layout.Custom) (layout.Layout, error) {
	if role == controller {
		return layout.FindController(root)
	}
	return layout.Find(root, named)
}
