package commands

import (
	"flag"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestLogKeepsTextOnItsLine: what a tenant has named or written makes no line of its own in a daemon's log, and does
// nothing to the terminal on which that is read.
func TestLogKeepsTextOnItsLine(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{"web\nlevel=INFO msg=\"all is well\"", "\x1b[2J", "a\rb", "\u202eb", "\u009b31m"} {
		var told strings.Builder
		c := cli.NewContext(cli.NewApp(), flag.NewFlagSet("", flag.ContinueOnError), nil)
		newLog(c, Streams{Err: &told}).Warn("cannot use "+hostile, "image", hostile)
		line, more, _ := strings.Cut(told.String(), "\n")
		if more != "" || strings.ContainsAny(line, "\x1b\r\u202e\u009b") {
			t.Errorf("%q is logged as %q", hostile, told.String())
		}
	}
}
