package commands

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
	"github.com/urfave/cli/v2"
)

// shownCommands calls see with each command that help shows, by its name as it is typed.
func shownCommands(see func(name string, command *cli.Command)) {
	walk(newApp(Streams{}).Commands, "ndock", func(name string, command *cli.Command) {
		if !command.Hidden {
			see(name, command)
		}
	})
}

// TestFlagsAreDescribed: each flag has a noun phrase (a switch: what it does), the name of its value, and no default
// that says only that the flag is not given.
func TestFlagsAreDescribed(t *testing.T) {
	t.Parallel()
	areDescribed(t, "ndock", newApp(Streams{}).Flags)
	shownCommands(func(name string, command *cli.Command) { areDescribed(t, name, command.Flags) })
}

var (
	unsetDefault = regexp.MustCompile(`default: (false|0|0s|\[\])?\)|default: "`)
	otherDefault = regexp.MustCompile(`; default|without$`)
	placeholder  = regexp.MustCompile(`^-\S+ (sha256:)?[A-Z][A-Z0-9/:=\[\]]*(, -\S+ (sha256:)?[A-Z][A-Z0-9/:=\[\]]*)*$`)
	noNoun       = regexp.MustCompile(`^(also|as|by|for|how|if|in|of|on|only|that|those|to|what|when|where|which|who|whose|with)\b|^[A-Z][a-z]|\.$`)
)

func areDescribed(t *testing.T, command string, flags []cli.Flag) {
	t.Helper()
	for _, flag := range flags {
		if visible, ok := flag.(cli.VisibleFlag); ok && !visible.IsVisible() {
			continue
		}
		names, usage, _ := strings.Cut(flag.String(), "\t")
		switch {
		case unsetDefault.MatchString(usage):
			t.Errorf("%s %s: the default says nothing, or is quoted: %q", command, names, usage)
		case otherDefault.MatchString(usage):
			t.Errorf("%s %s: the default belongs into Value or DefaultText: %q", command, names, usage)
		case usage == "" || noNoun.MatchString(usage):
			t.Errorf("%s %s: say what it is, with a noun: %q", command, names, usage)
		case takesValue(flag) && !placeholder.MatchString(names):
			t.Errorf("%s %s: its value has no name: put one between ` in Usage", command, names)
		}
	}
}

// TestCommandsHaveCategories: each command has a heading, and each heading is there once.
func TestCommandsHaveCategories(t *testing.T) {
	t.Parallel()
	app := newApp(Streams{})
	haveCategories(t, "ndock", app.Commands)
	shownCommands(func(name string, command *cli.Command) { haveCategories(t, name, command.Subcommands) })
}

func haveCategories(t *testing.T, group string, commands []*cli.Command) {
	t.Helper()
	var headings []string
	for _, command := range commands {
		switch last := len(headings) - 1; {
		case command.Hidden:
		case command.Category == "":
			t.Errorf("%s %s is in no category", group, command.Name)
		case last >= 0 && headings[last] == command.Category:
		case slices.Contains(headings, command.Category):
			t.Errorf("%s %s is not beside the others of category %s", group, command.Name, command.Category)
		default:
			headings = append(headings, command.Category)
		}
	}
}

// TestHelpHasCategories: help has the commands in their order, below their headings.
func TestHelpHasCategories(t *testing.T) {
	t.Parallel()
	for group, headings := range map[string][]string{
		"":      {"Servers", "Images", "Registry", "Node", "Other"},
		"image": {"Transfers", "Images in Glance"},
	} {
		var out bytes.Buffer
		Run(context.Background(), Streams{Out: &out, Err: io.Discard}, append(append([]string{"ndock"}, strings.Fields(group)...), "--help"))
		at := 0
		for _, heading := range headings {
			found := strings.Index(out.String()[at:], "\n   "+heading+":\n     ")
			if found < 0 {
				t.Errorf("%q is not there, or not in order, in\n%s", heading, out.String())
			}
			at += max(found, 0)
		}
		if strings.Contains(out.String(), "CATEGORY") {
			t.Errorf("the category is repeated in\n%s", out.String())
		}
	}
}

// TestExamples: each command has at least two, which are of that command and which its flags and arguments allow.
func TestExamples(t *testing.T) {
	t.Parallel()
	shownCommands(func(name string, command *cli.Command) {
		_, text, _ := strings.Cut(command.Description, examplesHeading)
		lines := strings.Split(text, "\n   ")
		if len(lines) < 2 {
			t.Errorf("%s has fewer than two examples", name)
			return
		}
		for _, line := range lines {
			if ran, err := understood(line); err != nil {
				t.Errorf("%s: %q: %v", name, line, err)
			} else if !strings.HasPrefix(ran+" ", name+" ") {
				t.Errorf("%s: %q is an example of %s", name, line, ran)
			}
		}
	})
}

// TestExamplesOfAll: help without a command has some, too.
func TestExamplesOfAll(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(newApp(Streams{}).Description, examplesHeading)
	for line := range strings.SplitSeq(text, "\n   ") {
		if ran, err := understood(line); err != nil && !strings.HasSuffix(line, "--help") {
			t.Errorf("%q is %q: %v", line, ran, err)
		}
	}
}

// TestExamplesAreChecked: lines that ndock would refuse are no examples.
func TestExamplesAreChecked(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"ndock nope", "ndock list web", "ndock show", "ndock show --nope web", "ndock boot --count many web", "ndock boot --timeout 0s web",
		"ndock image copy a", "ndock registry list a b", "ndock list -f xml", "docker ps", "ndock list | ndock show", "ndock logs 'web",
	} {
		if ran, err := understood(line); err == nil {
			t.Errorf("%q is understood, as %s", line, ran)
		}
	}
}

// understood returns the command that a line of a shell runs, of which nothing is done. The line may begin with
// another program, whose output ndock reads.
func understood(line string) (ran string, err error) {
	app := newApp(Streams{Out: io.Discard, Err: io.Discard})
	walk(app.Commands, "ndock", func(name string, command *cli.Command) {
		if len(command.Subcommands) == 0 {
			command.Action = func(c *cli.Context) error {
				ran = name
				return countArguments(command.ArgsUsage, c.Args().Slice())
			}
		}
	})
	_, typed, found := cutLast("| "+line, "| ndock ")
	if !found {
		return "", fmt.Errorf("it does not run ndock")
	}
	words, err := shellwords.Parse(typed) // up to the first |, < or >
	if err != nil {
		return "", err
	}
	ordered, err := permute(app, append([]string{"ndock"}, words...))
	if err != nil {
		return "", err
	}
	return ran, app.Run(ordered)
}

func cutLast(text, sep string) (before, after string, found bool) {
	at := strings.LastIndex(text, sep)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(sep):], true
}

// countArguments compares arguments with their names in help: [NAME] may be missing, and of NAME… there may be several.
func countArguments(usage string, args []string) error {
	names, optional, _ := strings.Cut(" "+usage, " [")
	least := len(strings.Fields(names))
	most := least + len(strings.Fields(optional))
	if strings.Contains(usage, "…") {
		most = math.MaxInt
	}
	if len(args) < least || len(args) > most {
		return fmt.Errorf("%q are not %q", args, usage)
	}
	return nil
}
