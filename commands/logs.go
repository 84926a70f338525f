package commands

import (
	"io"

	"github.com/urfave/cli/v2"
)

func logsCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "logs",
		Usage:     "Print the console output of a server",
		ArgsUsage: "SERVER",
		Description: "The output is exact, but for a terminal: there, control characters are shown (\\x1b), because what a server\n" +
			"writes could act on the terminal. A pager such as 'less -R' shows its colours.\n\n" +
			examples(
				"ndock logs --tail 20 web",
				"ndock logs web | less -R"),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "tail", Aliases: []string{"n"}, Usage: "`NUMBER` of lines to show from the end", DefaultText: "all"},
		},
		Action: func(c *cli.Context) error { return logs(c, s) },
	}
}

func logs(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SERVER")
	if err != nil {
		return err
	}
	if c.Int("tail") < 0 {
		return misused(c, "--tail %d is no number of lines", c.Int("tail"))
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	text, err := cloud.Console(c.Context, args[0], c.Int("tail"))
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.Out, text)
	return err
}
