package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/completion"
	"ndock/commands/internal/output"
	"ndock/openstack"
)

// completeCommand is what the scripts of `ndock completion` ask.
func completeCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:            "complete",
		Usage:           "Print what may stand in place of the last word of a command line",
		ArgsUsage:       "WORD…",
		Hidden:          true,
		SkipFlagParsing: true,
		Action:          func(c *cli.Context) error { return printSuggestions(c, s) },
	}
}

func printSuggestions(c *cli.Context, s Streams) error {
	suggestions, global := complete(c.App, c.Args().Slice())
	for _, suggestion := range suggestions {
		if suggestion.kind == "" {
			fmt.Fprintln(s.Out, suggestion)
			continue
		}
		for _, name := range offerNames(suggestion.kind, global) {
			if suggestion.kind == "images" && strings.Contains(suggestion.typed, ":") {
				name = openstack.DockerName(name)
			}
			fmt.Fprintln(s.Out, suggestion.word+name)
		}
	}
	return nil
}

// suggestion is a word, and what it is where that is known. With a kind it is all names of that kind in the cloud, with the word
// before them.
type suggestion struct{ word, about, kind, typed string }

func (s suggestion) String() string {
	if s.about == "" {
		return s.word
	}
	return s.word + "\t" + s.about
}

// complete reads the words as permute does, and says what may stand in place of the last one, and which flags of ndock itself
// there are. It leaves to the shell which of that begins as the last word does.
func complete(app *cli.App, words []string) (suggestions []suggestion, global []string) {
	if len(words) == 0 {
		return nil, nil
	}
	p := permuter{app: app, commands: app.Commands}
	return p.suggest(words[:len(words)-1], words[len(words)-1]), p.global
}

func (p *permuter) suggest(rest []string, last string) []suggestion {
	for len(rest) > 0 {
		if p.foreign() || rest[0] == "--" { // another program's
			return nil
		}
		n, err := p.take(rest)
		if err != nil { // a value is missing: it is the last word
			return p.values(rest[0], "", last)
		}
		rest = rest[n:]
	}
	name, value, hasValue := strings.Cut(last, "=")
	switch {
	case p.foreign():
		return nil
	case strings.HasPrefix(last, "-") && hasValue:
		return p.values(name, name+"=", value)
	case strings.HasPrefix(last, "-"):
		return p.offerFlags(last)
	case len(p.commands) > 0:
		return p.offerCommands()
	}
	return p.offerArguments(last)
}

// values are those that a flag takes.
func (p *permuter) values(flagTyped, prefix, typed string) []suggestion {
	flag, _ := p.known(strings.TrimLeft(flagTyped, "-"))
	switch {
	case flag == nil:
		return nil
	case isFile(flag):
		return []suggestion{{word: completion.Files}}
	case flag.Names()[0] == "format":
		return choices(prefix, output.Formats)
	case namedBy[flag.Names()[0]] != "":
		return []suggestion{{word: prefix, kind: namedBy[flag.Names()[0]], typed: typed}}
	}
	return nil
}

func isFile(flag cli.Flag) bool {
	switch flag := flag.(type) {
	case *cli.PathFlag:
		return true
	case *cli.StringFlag:
		return flag.TakesFile
	}
	return false
}

func choices(prefix string, words []string) []suggestion {
	var all []suggestion
	for _, word := range words {
		all = append(all, suggestion{word: prefix + word})
	}
	return all
}

// offerFlags are those of the command, then those of ndock itself, which may stand behind it. The many of credentials come when
// the word begins like them.
func (p *permuter) offerFlags(typed string) []suggestion {
	global := slices.DeleteFunc(slices.Clone(p.app.Flags), func(flag cli.Flag) bool {
		return p.current != nil && flag == cli.VersionFlag || isCredential(flag) && !strings.HasPrefix(typed, "--os")
	})
	if p.current == nil {
		return flagSuggestions(global)
	}
	return flagSuggestions(append(slices.Clone(p.current.Flags), global...))
}

func flagSuggestions(flags []cli.Flag) []suggestion {
	var all []suggestion
	for _, flag := range flags {
		if visible, ok := flag.(cli.VisibleFlag); ok && !visible.IsVisible() {
			continue
		}
		_, about, _ := strings.Cut(flag.String(), "\t")
		for _, name := range flag.Names() {
			all = append(all, suggestion{word: dashed(name), about: about})
		}
	}
	return all
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func (p *permuter) offerCommands() []suggestion {
	var all []suggestion
	for _, command := range p.commands {
		if !command.Hidden && len(p.positional) == 0 {
			all = append(all, suggestion{word: command.Name, about: command.Usage})
		}
	}
	return all
}

// offerArguments are those of a command whose help names them, `bash|zsh|fish`, or what they are, SERVER…
func (p *permuter) offerArguments(typed string) []suggestion {
	if p.current == nil {
		return nil
	}
	names := strings.Fields(p.current.ArgsUsage)
	if last := len(names) - 1; last >= 0 && strings.HasSuffix(names[last], "…") {
		for len(names) <= len(p.positional) {
			names = append(names, names[last])
		}
	}
	if len(p.positional) >= len(names) {
		return nil
	}
	name := strings.TrimSuffix(names[len(p.positional)], "…")
	switch {
	case namedBy[name] != "":
		return []suggestion{{kind: namedBy[name], typed: typed}}
	case strings.Contains(name, "|"):
		return choices("", strings.Split(name, "|"))
	}
	return nil
}
