package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack/similar"
)

// The exit statuses, beside 0.
const (
	exitFailed      = 1
	exitMisuse      = 2
	exitInterrupted = 130
)

// misuse is a command line that cannot be understood.
type misuse struct {
	message string
	command string // whose --help tells more
	meant   string // asks for what may be meant
}

func (m *misuse) Error() string { return m.message }

func (m *misuse) Hint() string {
	return strings.TrimSpace(m.meant + fmt.Sprintf(" see '%s --help'", m.command))
}

// hinted is an error that knows what its reader could do about it.
type hinted interface {
	error
	Hint() string
}

// report prints an error, once, and returns the exit status that it stands for. Of several that were joined, each
// has a line of its own, but for an interruption, which is one for all.
func report(ctx context.Context, w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	status, interrupted := exitFailed, false
	for _, part := range parts(err) {
		if ctx.Err() != nil && errors.Is(part, context.Canceled) {
			interrupted = true
			continue
		}
		status = max(status, tell(w, part))
	}
	if interrupted {
		fmt.Fprintln(w, "ndock: interrupted")
		return exitInterrupted
	}
	return status
}

func tell(w io.Writer, err error) int {
	fmt.Fprintf(w, "ndock: %s\n", output.Line(err.Error()))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", output.Line(hint))
	}
	var m *misuse
	var column *output.UnknownColumn
	if errors.As(err, &m) || errors.As(err, &column) {
		return exitMisuse
	}
	return exitFailed
}

// hintOf is the hint of the error, or of the nearest of its causes that has one.
func hintOf(err error) string {
	var known hinted
	for errors.As(err, &known) {
		if hint := known.Hint(); hint != "" {
			return hint
		}
		err = errors.Unwrap(known)
	}
	return ""
}

// parts takes apart what errors.Join has joined, and nothing that has words of its own about its causes.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, part := range joined.Unwrap() {
		all = append(all, parts(part)...)
	}
	return all
}

// misused says what is wrong with the command line of the command being run.
func misused(c *cli.Context, format string, args ...any) error {
	return &misuse{message: fmt.Sprintf(format, args...), command: commandName(c)}
}

// usage is urfave/cli's OnUsageError.
func usage(c *cli.Context, err error, _ bool) error {
	if flag, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: "); unknown {
		return &misuse{fmt.Sprintf("there is no flag %s", flag), commandName(c), similar.Question(similarFlags(c, flag))}
	}
	if bad := badValue.FindStringSubmatch(err.Error()); bad != nil {
		flag, _ := (&permuter{app: c.App, current: c.Command}).known(bad[2])
		return misused(c, "%s %s %s", dashed(bad[2]), bad[1], notTaken(flag))
	}
	return misused(c, "%s", err)
}

// badValue matches package flag's words for a value that a flag does not take.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([\w-]+): `)

// notTaken says why a flag does not take a value.
func notTaken(flag cli.Flag) string {
	switch flag.(type) {
	case *cli.DurationFlag:
		return "is no duration; 30s and 10m are"
	case *cli.BoolFlag:
		return "is neither true nor false"
	}
	return "is no number, or too large a one"
}

// similarFlags returns those of the command and of ndock itself.
func similarFlags(c *cli.Context, typed string) []string {
	var known []string
	for _, flag := range slices.Concat(c.Command.Flags, c.App.Flags) {
		if visible, ok := flag.(cli.VisibleFlag); !ok || visible.IsVisible() {
			known = append(known, flag.Names()...)
		}
	}
	near := similar.Names(strings.TrimLeft(typed, "-"), known)
	for i, name := range near {
		near[i] = dashed(name)
	}
	return near
}

// group is the action of a command that only holds others.
func group(c *cli.Context) error {
	word := c.Args().First()
	if word == "" {
		return misused(c, "%s needs a command", commandName(c))
	}
	var known []string
	for _, command := range c.Command.Subcommands {
		if !command.Hidden {
			known = append(known, command.Name)
		}
	}
	near := similar.Names(word, known)
	for i, name := range near {
		near[i] = "'" + commandName(c) + " " + name + "'"
	}
	return &misuse{fmt.Sprintf("%q is not a command of %s", word, commandName(c)), commandName(c), similar.Question(near)}
}

func commandName(c *cli.Context) string {
	if c.Command == nil || c.Command.HelpName == "" {
		return c.App.Name
	}
	return c.Command.HelpName
}

// exactly returns the arguments when there are as many as there are names for them.
func exactly(c *cli.Context, names ...string) ([]string, error) {
	args := c.Args().Slice()
	switch {
	case len(args) < len(names):
		return nil, misused(c, "%s is missing", names[len(args)])
	case len(args) > len(names):
		return nil, misused(c, "unexpected argument %q", args[len(names)])
	}
	return args, nil
}

// atLeastOne returns the arguments of a command that takes several of a kind.
func atLeastOne(c *cli.Context, name string) ([]string, error) {
	if !c.Args().Present() {
		return nil, misused(c, "%s is missing", name)
	}
	return c.Args().Slice(), nil
}

// forEach acts on every object named, though one fails, and returns what failed.
func forEach(ctx context.Context, names []string, act func(name string) error) error {
	var failed []error
	for _, name := range names {
		if err := act(name); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}
