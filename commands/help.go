package commands

import (
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"
)

// categorized puts commands below a heading of their group's help.
func categorized(heading string, commands ...*cli.Command) []*cli.Command {
	for _, command := range commands {
		command.Category = heading
	}
	return commands
}

// examples ends the description of a command: an example a line, each as one types it.
func examples(lines ...string) string {
	return examplesHeading + strings.Join(lines, "\n   ")
}

const examplesHeading = "Examples:\n\n   "

// The templates of help are those of urfave/cli, but a group's commands stay in their order, where urfave/cli sorts
// the headings, and a command does not repeat its heading.
var (
	appHelp     = strings.Replace(cli.AppHelpTemplate, sortedCommands, orderedCommands, 1)
	groupHelp   = strings.Replace(withoutCategory(cli.SubcommandHelpTemplate), sortedCommands, orderedCommands, 1)
	commandHelp = withoutCategory(cli.CommandHelpTemplate)
)

const (
	sortedCommands  = `{{template "visibleCommandCategoryTemplate" .}}`
	orderedCommands = `{{$heading := ""}}{{$column := offsetCommands .VisibleCommands 7}}{{range .VisibleCommands}}{{if ne .Category $heading}}{{$heading = .Category}}
   {{$heading}}:{{end}}
     {{.Name}}{{indent (subtract $column (offset .Name 5)) ""}}{{.Usage}}{{end}}`
)

func withoutCategory(template string) string {
	return strings.Replace(template, "{{if .Category}}\n\nCATEGORY:\n   {{.Category}}{{end}}", "", 1)
}

func init() { cli.FlagStringer = flagHelp(cli.FlagStringer) }

var quotedDefault = regexp.MustCompile(`\(default: "([^"]*)"\)`)

// flagHelp changes what urfave/cli says about a flag: without a default that only means that the flag is not given, with
// the others unquoted, and in words where it repeats the names of a flag that may be repeated.
func flagHelp(describe cli.FlagStringFunc) cli.FlagStringFunc {
	return func(flag cli.Flag) string {
		names, usage, _ := strings.Cut(describe(flag), "\t")
		for _, unset := range []string{"false", "0"} {
			usage = strings.Replace(usage, " (default: "+unset+")", "", 1)
		}
		usage = quotedDefault.ReplaceAllString(usage, "(default: $1)")
		names, _, repeated := strings.Cut(names, " [ ")
		if repeated {
			usage += " (may be repeated)"
		}
		return names + "\t" + usage
	}
}
