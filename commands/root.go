// Package commands is ndock's command line. A file is a command, named as it is typed: it turns flags into an
// options struct, makes one call, and renders one result. What commands do lives in the packages openstack,
// docker and registry, which know nothing of each other; here they are joined.
package commands

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/commands/internal/progress"
	"ndock/openstack"
)

// Streams are what a command reads from and writes to: results go to Out, all else to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Main runs the command line that this process was started with, and returns its exit status, see Run.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends a clean-up that hangs
	return Run(ctx, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args)
}

// Run executes one command line and returns the exit status: 0, 1 when it failed, 2 for misuse, 130 when interrupted.
func Run(ctx context.Context, streams Streams, args []string) int {
	streams.Out = output.ForTerminal(streams.Out)
	app := newApp(streams)
	ordered, err := permute(app, args)
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	return report(ctx, streams.Err, err)
}

func init() {
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintf(c.App.Writer, "ndock %s\n", c.App.Version) }
}

func newApp(s Streams) *cli.App {
	app := &cli.App{
		Name:                  "ndock",
		Usage:                 "Docker as a hypervisor of OpenStack",
		Version:               version(),
		CustomAppHelpTemplate: appHelp,
		Description: examples(
			"ndock doctor",
			"ndock image push-glance nginx:1",
			"ndock boot --image nginx:1 --flavor m1.small --wait web",
			"ndock boot --help"),
		Writer:                    s.Out,
		ErrWriter:                 s.Err,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // errors are printed once, by report
		OnUsageError:              usage,
		Action:                    group,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "os-cloud", EnvVars: []string{"OS_CLOUD"}, Usage: "name of the `CLOUD` in clouds.yaml", DefaultText: "the OS_* variables of an openrc, or the only cloud of clouds.yaml"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress"},
			&cli.BoolFlag{Name: "debug", Usage: "log each request to OpenStack on stderr, without secrets"},
		}, credentialFlags()),
		Commands: slices.Concat(
			categorized("Servers",
				bootCommand(s), listCommand(s), showCommand(s), logsCommand(s), attachCommand(s),
				stopCommand(s), startCommand(s), rebootCommand(s), pauseCommand(s), unpauseCommand(s), deleteCommand(s),
				snapshotCommand(s)),
			categorized("Images", imageCommand(s)),
			categorized("Registry", registryCommand(s)),
			categorized("Node", nodeCommand(s)),
			categorized("Other", doctorCommand(s), completionCommand(s), completeCommand(s), namesCommand(s), manCommand(s))),
	}
	strict(app.Commands)
	return app
}

// strict makes every command report misuse and show help the way ndock does, and every group demand one of its
// commands.
func strict(commands []*cli.Command) {
	for _, command := range commands {
		command.OnUsageError = usage
		command.HideHelpCommand = true
		command.CustomHelpTemplate = commandHelp
		if len(command.Subcommands) > 0 {
			command.CustomHelpTemplate = groupHelp
			command.Action = group
			strict(command.Subcommands)
		}
	}
}

// openCloud opens the cloud that the flags and the environment name.
func openCloud(c *cli.Context, s Streams) (*openstack.Cloud, error) {
	return openstack.Open(c.Context, selected(c, s))
}

func selected(c *cli.Context, s Streams) openstack.Selection {
	var trace io.Writer
	if c.Bool("debug") {
		trace = output.MakeVisible(s.Err)
	}
	return openstack.Selection{Cloud: c.String("os-cloud"), Given: givenCredentials(c), Trace: trace, Agent: "ndock/" + version()}
}

// newProgress is where a command tells what it is doing while it takes long.
func newProgress(c *cli.Context, s Streams) *progress.Reporter {
	return progress.New(s.Err, c.Bool("quiet"))
}

// warnings tells what should be known, and stops nothing.
func warnings(c *cli.Context) func(text string) {
	return func(text string) { progress.New(c.App.ErrWriter, c.Bool("quiet")).Step("warning: %s", text) }
}
