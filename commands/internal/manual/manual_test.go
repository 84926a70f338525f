package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func testPage(t *testing.T) string {
	t.Helper()
	app := &cli.App{
		Name: "ndock", Usage: "a hypervisor", DisableSliceFlagSeparator: true, HideHelpCommand: true,
		Commands: []*cli.Command{
			{Name: "image", Usage: "Images", Subcommands: []*cli.Command{{
				Name: "push", Usage: "Send one", ArgsUsage: "IMAGE…", Description: "Words,\n'quoted'.\n\n   ndock image push -f a\n   .b\\c",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "column", Aliases: []string{"c"}, Usage: "show this `COLUMN`"},
					&cli.BoolFlag{Name: "secret", Hidden: true},
				},
			}}},
			{Name: "hook", Hidden: true, Subcommands: []*cli.Command{{Name: "join"}}},
		},
	}
	app.Setup()
	var page strings.Builder
	if err := Write(&page, app, "1.0-2", "2026-01-02"); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func TestPage(t *testing.T) {
	page := testPage(t)
	for _, want := range []string{
		`.TH NDOCK 1 "2026-01-02" "ndock 1.0\-2" "User Commands"`,
		"ndock \\- a hypervisor\n",
		".SS ndock image\nImages.\n.SS ndock image push\nSend one.\n.PP\n.B ndock image push\n.RI [ options ]\nIMAGE\\|.\\|.\\|.\n",
		".PP\nWords,\n\\(aqquoted\\(aq.\n.PP\n.RS 4\n.nf\nndock image push \\-f a\n\\&.b\\ec\n.fi\n.RE\n",
		".TP\n\\fB\\-\\-column\\fP \\fICOLUMN\\fP, \\fB\\-c\\fP \\fICOLUMN\\fP\nshow this COLUMN\n.SH ENVIRONMENT\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	for _, hidden := range []string{"secret", "hook", "join"} {
		if strings.Contains(page, hidden) {
			t.Errorf("%s is shown", hidden)
		}
	}
}

// TestPageHasNoMistakes, in the eyes of those that show it, where they are installed.
func TestPageHasNoMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ndock.1")
	if err := os.WriteFile(path, []byte(testPage(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, checker := range [][]string{{"groff", "-man", "-Tutf8", "-ww", "-z"}, {"mandoc", "-T", "lint", "-W", "warning"}} {
		if _, err := exec.LookPath(checker[0]); err != nil {
			continue
		}
		if said, err := exec.Command(checker[0], append(checker[1:], path)...).CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s: %v\n%s", checker[0], err, said)
		}
	}
}
