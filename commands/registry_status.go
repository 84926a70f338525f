package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"ndock/registry"
)

func registryStatusCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "Show where the registry is, and whether it runs",
		Description: "Ends with status 1 when it does not run.\n\nExample: ndock registry status -f value -c URL",
		Flags:       outputFlags(),
		Action:      func(c *cli.Context) error { return registryStatus(c, s) },
	}
}

func registryStatus(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	engine, err := engineClient(c)
	if err != nil {
		return err
	}
	defer engine.Close()
	status, err := registry.Find(c.Context, engine)
	if err != nil {
		return err
	}
	if err := outputStyle(c).Show(s.Out, registryFields(status)); err != nil {
		return err
	}
	if status.State != registry.Running {
		return &notServing{state: status.State}
	}
	return nil
}

// notServing is a registry that does not run.
type notServing struct{ state string }

func (e *notServing) Error() string {
	return fmt.Sprintf("the registry is not running: it is %s", e.state)
}

func (e *notServing) Hint() string {
	if e.state == registry.Absent {
		return "'ndock registry deploy' makes one"
	}
	return "'docker logs ndock-registry' says why"
}
