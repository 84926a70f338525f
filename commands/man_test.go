package commands

import (
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// manPage is the page without roff's own marks.
func manPage(t *testing.T) string {
	t.Helper()
	var page strings.Builder
	if err := writeManual(&page); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\-`, "-", `\fB`, "", `\fI`, "", `\fP`, "", `\(aq`, "'", `\|.\|.\|.`, "…").Replace(page.String())
}

// TestTheManPageHasAllThatHelpHas: every command and flag, where it belongs; and of those that are hidden, none.
func TestTheManPageHasAllThatHelpHas(t *testing.T) {
	app := newApp(Streams{})
	app.Setup()
	page := manPage(t)
	options, commands, _ := strings.Cut(page, ".SH COMMANDS\n")
	lacksFlags(t, options, app.Flags)
	walk(app.Commands, "ndock", func(name string, command *cli.Command) {
		_, section, found := strings.Cut(commands, ".SS "+name+"\n"+command.Usage+".\n")
		if found == command.Hidden {
			t.Errorf("%s, hidden: %t, is in the page: %t", name, command.Hidden, found)
		}
		section, _, _ = strings.Cut(section, "\n.S")
		if found {
			lacksFlags(t, section+"\n", command.Flags)
		}
	})
}

func lacksFlags(t *testing.T, section string, flags []cli.Flag) {
	t.Helper()
	for _, flag := range flags {
		names, usage, _ := strings.Cut(flag.String(), "\t")
		visible := flag.(cli.VisibleFlag).IsVisible()
		if found := strings.Contains(section, ".TP\n"+names+"\n"+usage+"\n"); found != visible {
			t.Errorf("%q, visible: %t, is there: %t, in\n%s", names, visible, found, section)
		}
	}
}

// TestTheManPagesExamplesAreTheReadmes, whose commands are run on a real cloud.
func TestTheManPagesExamplesAreTheReadmes(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, examples, _ := strings.Cut(manPage(t), ".SH EXAMPLES\n")
	ran := 0
	for line := range strings.Lines(examples) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "ndock ") || strings.HasPrefix(line, "source ") {
			ran++
			if !strings.Contains(string(readme), "    "+line) {
				t.Errorf("%q is not in README.md", line)
			}
		}
	}
	if ran < 8 {
		t.Errorf("only %d examples were found", ran)
	}
}
