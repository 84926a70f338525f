// Package manual makes the man page ndock(1). Commands and flags come from the command tree, in the words of --help;
// what help does not tell (environment, exit status, files, examples) stands in the template.
package manual

import (
	_ "embed" // the template
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"
)

//go:embed ndock.1.tmpl
var page string

// Write prints the page of an application that is set up and does not run. Nothing in it depends on when or where it
// is made: version and date are the caller's.
func Write(w io.Writer, app *cli.App, version, date string) error {
	t, err := template.New("ndock.1").Funcs(template.FuncMap{"roff": roff, "prose": prose, "flags": flags}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		App           *cli.App
		Commands      []cli.Command
		Version, Date string
	}{app, visible(app.Commands, app.Name), version, date})
}

// visible are the commands that help shows, each before its own, with their names as they are typed.
func visible(commands []*cli.Command, before string) []cli.Command {
	var all []cli.Command
	for _, command := range commands {
		if command.Hidden {
			continue
		}
		named := *command
		named.HelpName = before + " " + command.Name
		all = append(append(all, named), visible(command.Subcommands, named.HelpName)...)
	}
	return all
}

// flags describes each as help does: its names with what they take, then its usage.
func flags(all []cli.Flag) string {
	var b strings.Builder
	for _, flag := range all {
		names, usage, _ := strings.Cut(flag.String(), "\t")
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", emphasize(names), roff(usage))
	}
	return b.String()
}

// emphasize sets names bold, and what they take in italics.
func emphasize(names string) string {
	words := strings.Fields(names)
	for i, word := range words {
		word, comma := strings.CutSuffix(word, ",")
		font := `\fI`
		if strings.HasPrefix(word, "-") {
			font = `\fB`
		}
		words[i] = font + roff(word) + `\fP`
		if comma {
			words[i] += ","
		}
	}
	return strings.Join(words, " ")
}

// prose sets a description's paragraphs; indented ones are commands, whose lines stay as they are.
func prose(text string) string {
	var b strings.Builder
	for _, paragraph := range strings.Split(text, "\n\n") {
		switch {
		case paragraph == "":
		case strings.HasPrefix(paragraph, " "):
			fmt.Fprintf(&b, ".PP\n.RS 4\n.nf\n%s\n.fi\n.RE\n", roff(unindent(paragraph)))
		default:
			fmt.Fprintf(&b, ".PP\n%s\n", roff(paragraph))
		}
	}
	return b.String()
}

func unindent(paragraph string) string {
	lines := strings.Split(paragraph, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// roff writes text so that roff prints it as it is: it would take a line's first . or ' for a request of its own, and
// make typography of what is to be typed.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "…", `\|.\|.\|.`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
