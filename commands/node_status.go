package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/openstack/node"
)

func nodeStatusCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "Show the state of each step of the setup of this machine",
		Description: "The exit status is 1 if a step is not done.\n\n" +
			examples(
				"ndock node status",
				"ndock node status -f value -c Step -c State"),
		Flags:  slices.Concat(outputFlags(), layoutFlags()),
		Action: func(c *cli.Context) error { return nodeStatus(c, s) },
	}
}

func nodeStatus(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	headers := []string{"Step", "State", "Detail"}
	if err := outputStyle(c).Check(headers); err != nil {
		return err
	}
	machine, err := newMachine(c, s, c.String("root"))
	if err != nil {
		return err
	}
	machine.Timeouts.Nova = 0 // that it fails is a state, too
	var rows [][]any
	var missing []string
	for _, status := range node.Inspect(c.Context, stepsOf(c.String("role"), machine)) {
		rows = append(rows, []any{status.Step, string(status.State), status.Detail})
		if status.State == node.ToDo || status.State == node.Failed {
			missing = append(missing, status.Step)
		}
	}
	if err := sentencesStyle(c).List(s.Out, headers, rows); err != nil {
		return err
	}
	if len(missing) > 0 {
		return &notReady{host: machine.Host, role: describeRole(c.String("role")), missing: missing}
	}
	return nil
}

// notReady is a node on which something is not in place.
type notReady struct {
	host    string
	role    string
	missing []string
}

func (e *notReady) Error() string {
	return fmt.Sprintf("%s is no %s as it should be: see %s", e.host, e.role, strings.Join(e.missing, ", "))
}

func (e *notReady) Hint() string { return "'ndock node setup --dry-run' says what would be changed" }
