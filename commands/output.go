package commands

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
)

// outputFlags are what every command that prints a result takes.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "output `FORMAT`: " + strings.Join(output.Formats, ", "),
			Action: func(c *cli.Context, format string) error {
				if !slices.Contains(output.Formats, format) {
					return misused(c, "there is no format %q; there are %s", format, strings.Join(output.Formats, ", "))
				}
				return nil
			},
		},
		&cli.StringSliceFlag{Name: "column", Aliases: []string{"c"}, Usage: "`COLUMN` to show"},
	}
}

func outputStyle(c *cli.Context) output.Style {
	return output.Style{Format: c.String("format"), Columns: c.StringSlice("column")}
}

// sentencesStyle is that of a list that says in sentences what is and what to do.
func sentencesStyle(c *cli.Context) output.Style {
	style := outputStyle(c)
	style.Sentences = []string{"Detail", "Fix"}
	return style
}
