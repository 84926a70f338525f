package commands

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/completion"
)

func completionCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "Print the completion script for a shell",
		ArgsUsage: strings.Join(completion.Shells, "|"),
		Description: "For the shell that runs, and in its startup file for those to come (in zsh below compinit):\n\n" +
			"   source <(ndock completion bash)\n" +
			"   source <(ndock completion zsh)\n" +
			"   ndock completion fish | source\n\n" +
			"'make install' and 'ndock node setup' put the scripts where the shells look for them by themselves, and so do\n" +
			"packages, with /usr in place of /usr/local:\n\n" +
			"   " + completion.Path("bash") + "\n" +
			"   " + completion.Path("zsh") + "\n" +
			"   " + completion.Path("fish") + "\n\n" +
			examples(
				"ndock completion bash > /etc/bash_completion.d/ndock",
				"ndock completion fish | source"),
		Action: func(c *cli.Context) error { return printCompletion(c, s) },
	}
}

func printCompletion(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SHELL")
	if err != nil {
		return err
	}
	if !slices.Contains(completion.Shells, args[0]) {
		return misused(c, "there is no completion for %q; there is for %s", args[0], strings.Join(completion.Shells, ", "))
	}
	script, err := completion.Script(args[0])
	if err != nil {
		return err
	}
	_, err = s.Out.Write(script)
	return err
}
