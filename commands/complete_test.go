package commands

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func offered(app *cli.App, typed string) []string {
	var words []string
	suggestions, _ := complete(app, strings.Split(typed, "|"))
	for _, suggestion := range suggestions {
		if suggestion.kind != "" {
			suggestion.word += "(" + suggestion.kind + ")"
		}
		words = append(words, suggestion.word)
	}
	return words
}

// TestCompleteOffersWhatHelpShows: every command and flag, ndock's own flags behind each command too, and nothing that
// is hidden.
func TestCompleteOffersWhatHelpShows(t *testing.T) {
	app := newApp(Streams{})
	app.Setup()
	walk(app.Commands, "ndock", func(name string, command *cli.Command) {
		path := strings.ReplaceAll(strings.TrimPrefix(name, "ndock "), " ", "|")
		before, last := "", path
		if at := strings.LastIndex(path, "|"); at >= 0 {
			before, last = path[:at+1], path[at+1:]
		}
		if got := slices.Contains(offered(app, before), last); got == command.Hidden {
			t.Errorf("%s, hidden: %t, is offered: %t", name, command.Hidden, got)
		}
		if command.Hidden {
			return
		}
		flags := append(offered(app, path+"|-"), offered(app, path+"|--os")...)
		for _, flag := range append(slices.Clone(command.Flags), app.Flags[:len(app.Flags)-1]...) {
			visible := flag.(cli.VisibleFlag).IsVisible()
			for _, name := range flag.Names() {
				if got := slices.Contains(flags, dashed(name)); got != visible {
					t.Errorf("%s: %s, visible: %t, is offered: %t", path, name, visible, got)
				}
			}
		}
		if slices.Contains(flags, "--version") {
			t.Errorf("%s takes no --version", name)
		}
	})
}

func walk(commands []*cli.Command, before string, see func(name string, command *cli.Command)) {
	for _, command := range commands {
		see(before+" "+command.Name, command)
		walk(command.Subcommands, before+" "+command.Name, see)
	}
}

// TestComplete: words are parted by |.
func TestComplete(t *testing.T) {
	app := newApp(Streams{})
	for typed, want := range map[string]string{
		"list|-f|":                "table json yaml value csv",
		"list|--quiet|-f|":        "table json yaml value csv",
		"list|-c|":                "",
		"list|-f=":                "-f=table -f=json -f=yaml -f=value -f=csv",
		"list|-f|json|":           "",
		"list|--nope=":            "",
		"list|--os-cacert|":       ":files",
		"--os-cloud|":             "",
		"--os-cloud|demo|image|":  "push-glance pull-glance push copy list show delete prune gc",
		"image|--debug|":          "push-glance pull-glance push copy list show delete prune gc",
		"image|nope|":             "",
		"registry|serve|--data|":  ":files",
		"registry|serve|--data=/": ":files",
		"node|agent|--socket|":    ":files",
		"boot|web|--|":            "",
		"boot|web|--|--":          "",
		"node|runtime|":           "",
		"node|runtime|-":          "",
		"completion|":             "bash zsh fish",
		"completion|bash|":        "",
		"completion|-q|":          "bash zsh fish",
		"node|hook|":              "join leave",
		"show|":                   "(servers)",
		"show|web|":               "",
		"stop|web|":               "(servers)",
		"--os-cloud|a|delete|":    "(servers)",
		"image|show|":             "(images)",
		"image|delete|a|b|":       "(images)",
		"boot|--image|":           "(images)",
		"boot|--flavor=":          "--flavor=(flavors)",
		"boot|--network|":         "(networks)",
		"boot|":                   "",
		"logs|--tail|5|":          "(servers)",
	} {
		if got := strings.Join(offered(app, typed), " "); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
