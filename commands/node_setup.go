package commands

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/aymanbagabas/go-udiff"
	"github.com/urfave/cli/v2"

	"ndock/openstack/node"
	"ndock/openstack/node/steps"
)

func nodeSetupCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "setup",
		Usage: "Make this machine a compute node of Docker",
		Description: "Installs Docker Engine if it is missing, ndock's agent as a service, and the driver in Nova's own Python; edits Nova's\n" +
			"configuration, restarts nova-compute and waits until Nova lists this host as a hypervisor of type docker. What is in\n" +
			"place is left alone. When a step fails, the steps before it are undone.\n\n" +
			examples(
				"ndock node setup --dry-run",
				"ndock node setup"),
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be changed, and change nothing"},
			&cli.BoolFlag{Name: "force", Usage: "go on even where Nova has servers of another driver here, which it would lose"},
		}, layoutFlags()),
		Action: func(c *cli.Context) error { return nodeSetup(c, s) },
	}
}

func nodeSetup(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return nodeSetupPlan(c, s)
	}
	if c.String("root") != "/" {
		return misused(c, "--root goes with --dry-run only")
	}
	return withMachine(c, s, "node setup", func(machine steps.Machine) error {
		role, report := c.String("role"), newProgress(c, s)
		changed, err := node.Setup(c.Context, stepsOf(role, machine), report.Step)
		switch {
		case err != nil:
			return err
		case !changed:
			report.Step("%s", nothingToDo(role, machine))
		default:
			report.Step("%s is a %s", machine.Host, describeRole(role))
		}
		return nil
	})
}

// nodeSetupPlan prints the plan on stdout: here it is the result.
func nodeSetupPlan(c *cli.Context, s Streams) error {
	machine, err := newMachine(c, s, c.String("root"))
	if err != nil {
		return err
	}
	role := c.String("role")
	changes, err := node.Plan(c.Context, stepsOf(role, machine), newProgress(c, s).Step)
	if err != nil {
		return err
	}
	for _, change := range changes {
		fmt.Fprintf(s.Out, "%s: %s\n", change.Step, change.Text)
	}
	if len(changes) == 0 {
		fmt.Fprintln(s.Out, nothingToDo(role, machine))
	}
	return printEdits(c.Context, s, stepsOf(role, machine))
}

// printEdits shows no lines around those that change: in Nova's configuration they may well be passwords.
func printEdits(ctx context.Context, s Streams, all []node.Step) error {
	edits, err := node.Edits(ctx, all)
	for _, edit := range edits {
		name := edit.Path
		if edit.Before == nil {
			name = os.DevNull
		}
		diff, err := udiff.ToUnified(name, edit.Path, string(edit.Before), udiff.Bytes(edit.Before, edit.After), 0)
		if err != nil {
			return fmt.Errorf("compare %s with what it would be: %w", edit.Path, err)
		}
		fmt.Fprintf(s.Out, "\n%s", diff)
	}
	return err
}

func nothingToDo(role string, machine steps.Machine) string {
	return fmt.Sprintf("nothing to do: %s is a %s", machine.Host, describeRole(role))
}
