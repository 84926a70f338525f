package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// permute moves flags before arguments, because urfave/cli reads flags up to the first argument only and the
// users of openstack and docker put them anywhere. Global flags may stand behind the command too. What follows
// "--" stays as it is, and so does the "--" itself when it stands behind an argument: `boot NAME -- COMMAND`.
func permute(app *cli.App, args []string) ([]string, error) {
	p := permuter{app: app, commands: app.Commands}
	rest := args[1:]
	for len(rest) > 0 {
		if p.foreign() {
			p.positional = rest
			break
		}
		if rest[0] == "--" {
			p.literal(rest[1:])
			break
		}
		n, err := p.take(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	return p.ordered(args[0]), nil
}

type permuter struct {
	app      *cli.App
	commands []*cli.Command // that may come next
	current  *cli.Command   // the command reached so far

	global, path, flags, positional []string
}

// foreign tells whether the command's arguments are of another program's.
func (p *permuter) foreign() bool { return p.current != nil && p.current.SkipFlagParsing }

// take handles the next word, and the value of a flag with it; it returns how many words those were.
func (p *permuter) take(words []string) (int, error) {
	word := words[0]
	if strings.HasPrefix(word, "-") && word != "-" {
		return p.flag(words)
	}
	if next := p.find(word); next != nil && len(p.positional) == 0 {
		p.current, p.commands = next, next.Subcommands
		p.path = append(p.path, word)
	} else {
		p.positional = append(p.positional, word)
	}
	return 1, nil
}

// flag writes a flag by its first name, because urfave/cli refuses two names of one flag in one command line.
func (p *permuter) flag(words []string) (int, error) {
	typed := strings.TrimLeft(words[0], "-")
	name, value, hasValue := strings.Cut(typed, "=")
	flag, into := p.known(name)
	if flag == nil && len(typed) > 1 && !strings.HasPrefix(words[0], "--") { // -fjson
		if short, list := p.known(typed[:1]); takesValue(short) {
			flag, into, value, hasValue = short, list, typed[1:], true
		} else if p.switches(typed) {
			return 1, nil
		}
	}
	switch {
	case flag == nil: // which urfave/cli will refuse itself
		*into = append(*into, words[0])
	case hasValue:
		*into = append(*into, "--"+flag.Names()[0]+"="+value)
	case !takesValue(flag):
		*into = append(*into, "--"+flag.Names()[0])
	case len(words) < 2:
		return 0, &misuse{message: fmt.Sprintf("flag %s needs a value", words[0]), command: strings.Join(append([]string{p.app.Name}, p.path...), " ")}
	default:
		*into = append(*into, "--"+flag.Names()[0], words[1])
		return 2, nil
	}
	return 1, nil
}

// switches writes several of one letter in one word, as in -it, if it is that.
func (p *permuter) switches(letters string) bool {
	for n := range letters {
		if flag, _ := p.known(letters[n : n+1]); flag == nil || takesValue(flag) {
			return false
		}
	}
	for n := range letters {
		flag, into := p.known(letters[n : n+1])
		*into = append(*into, "--"+flag.Names()[0])
	}
	return true
}

// known finds a flag of the command or of ndock itself, and the list that it belongs to.
func (p *permuter) known(name string) (cli.Flag, *[]string) {
	if p.current != nil {
		if flag := findFlag(p.current.Flags, name); flag != nil {
			return flag, &p.flags
		}
	}
	if flag := findFlag(p.app.Flags, name); flag != nil {
		return flag, &p.global
	}
	return nil, &p.flags
}

func (p *permuter) literal(words []string) {
	if len(p.positional) > 0 {
		p.positional = append(p.positional, "--")
	}
	p.positional = append(p.positional, words...)
}

func (p *permuter) ordered(program string) []string {
	if p.group() && len(p.positional) > 0 {
		p.flags = slices.DeleteFunc(p.flags, asksHelp) // a word that is no command of it is refused, with help or without
	}
	out := slices.Concat([]string{program}, p.global, p.path, p.flags)
	if slices.ContainsFunc(p.flags, asksHelp) {
		return out // urfave/cli would take an argument for a topic of its help
	}
	if p.current != nil && len(p.positional) > 0 && !p.foreign() {
		out = append(out, "--")
	}
	return append(out, p.positional...)
}

func asksHelp(flag string) bool { return flag == "--help" || flag == "-h" }

// group tells whether the command reached so far only holds others.
func (p *permuter) group() bool { return p.current == nil || len(p.current.Subcommands) > 0 }

func (p *permuter) find(word string) *cli.Command {
	for _, command := range p.commands {
		if command.HasName(word) {
			return command
		}
	}
	return nil
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, flag := range flags {
		if slices.Contains(flag.Names(), name) {
			return flag
		}
	}
	return nil
}

// takesValue is false for switches, and for no flag.
func takesValue(flag cli.Flag) bool {
	if flag == nil {
		return false
	}
	documented, ok := flag.(cli.DocGenerationFlag)
	return ok && documented.TakesValue()
}
