package commands

import (
	"io"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/manual"
)

// manCommand is for `make man`, and for packages.
func manCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:   "man",
		Usage:  "Print the man page ndock(1)",
		Hidden: true,
		Action: func(c *cli.Context) error { return man(c, s) },
	}
}

func man(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	return writeManual(s.Out)
}

// writeManual describes an ndock of which nothing runs: urfave/cli adds flags to the commands that do.
func writeManual(w io.Writer) error {
	app := newApp(Streams{})
	app.Setup()
	return manual.Write(w, app, version(), dated)
}
