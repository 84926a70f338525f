package commands

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"ndock/commands/internal/output"
	"ndock/openstack/node"
	"ndock/openstack/node/steps"
)

func nodeTeardownCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "teardown",
		Usage: "Undo what 'ndock node setup' did on this machine",
		Description: "Restores Nova's configuration, removes the driver and the agent, and restarts nova-compute. Later edits of the\n" +
			"configuration are kept, and so are Docker Engine and its containers.\n\n" +
			examples(
				"ndock node teardown",
				"ndock node teardown --yes"),
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
			&cli.BoolFlag{Name: "force", Usage: "go on even where servers have containers here, which stay behind"},
		}, layoutFlags()),
		Action: func(c *cli.Context) error { return nodeTeardown(c, s) },
	}
}

func nodeTeardown(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	if err := confirmed(c, s, "Undo the setup of this machine as a "+describeRole(c.String("role"))+"?"); err != nil {
		return err
	}
	return withMachine(c, s, "node teardown", func(machine steps.Machine) error {
		report := newProgress(c, s)
		changed, err := node.Teardown(c.Context, stepsOf(c.String("role"), machine), report.Step)
		if err == nil && !changed {
			report.Step("nothing to undo: %s is not set up", machine.Host)
		}
		return err
	})
}

// confirmed returns nil if --yes is given or a person agrees on the terminal.
func confirmed(c *cli.Context, s Streams, question string) error {
	if c.Bool("yes") {
		return nil
	}
	return askOnTerminal(c, s, question, "give --yes")
}

// askOnTerminal returns nil if a person on the terminal agrees. Where there is no terminal, the error says what to do
// instead.
func askOnTerminal(c *cli.Context, s Streams, question, instead string) error {
	file, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return misused(c, "nobody can be asked here: %s", instead)
	}
	fmt.Fprintf(s.Err, "%s [y/N] ", output.Line(question))
	answer, err := bufio.NewReader(file).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
