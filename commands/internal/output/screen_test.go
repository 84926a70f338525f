package output

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
)

func TestFit(t *testing.T) {
	t.Parallel()
	headers := []string{"ID", "Name", "Detail"}
	for _, test := range []struct {
		width     int
		row, want []string
	}{
		{0, []string{"20000000-0000", strings.Repeat("n", 50), "as it is"}, []string{"20000000-0000", strings.Repeat("n", 50), "as it is"}},
		{80, []string{"20000000-0000", "web", "short"}, []string{"20000000-0000", "web", "short"}},
		{48, []string{"20000000-0000", "a-long-name-of-a-server", "one two three"}, []string{"20000000-0000", "a-long-name…", "one two three"}},
		{44, []string{"20000000-0000", "日本語日本語日本語", "one two three"}, []string{"20000000-0000", "日本語日…", "one two\nthree"}},
		{20, []string{"20000000-0000", "a-long-name-of-a-server", "one superlong"}, []string{"20000000-0000", "a-long-…", "one\nsuperlon\ng"}},
		{45, []string{"20000000-0000", "first-line-of-it\nsecond", "a\nb"}, []string{"20000000-0000", "first-line-of-it\nsecond", "a\nb"}},
	} {
		row := slices.Clone(test.row)
		(screen{width: test.width}).fit(headers, [][]string{row}, []string{"Detail"})
		if !slices.Equal(row, test.want) {
			t.Errorf("in %d columns %q becomes %q, want %q", test.width, test.row, row, test.want)
		}
	}
}

// FuzzFit: the table fits, where it can, and nothing of a sentence is lost.
func FuzzFit(f *testing.F) {
	f.Add("web", "all is well", 40)
	f.Add("日本語日本語日本語日本語", "a\n\n b  c", 50)
	f.Add("🇩🇪👩‍👩‍👧", "e\u0301e\u0301", 44)
	f.Fuzz(func(t *testing.T, name, detail string, width int) {
		name, detail = Visible(name), Visible(detail)
		row := []string{"1", name, detail}
		width = 32 + width%100
		(screen{width: width}).fit([]string{"ID", "Name", "Detail"}, [][]string{row}, []string{"Detail"})
		total := 3*len(row) + 1
		for _, cell := range row {
			widest := 0
			for line := range strings.SplitSeq(cell, "\n") {
				widest = max(widest, runewidth.StringWidth(line))
			}
			total += widest
		}
		if width >= 32 && total > max(width, 32) {
			t.Errorf("%q in %d columns takes %d", row, width, total)
		}
		squeeze := strings.NewReplacer("\n", "", " ", "")
		if squeeze.Replace(row[2]) != squeeze.Replace(detail) {
			t.Errorf("%q became %q", detail, row[2])
		}
	})
}

func TestColour(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ column, cell, want string }{
		{"Status", "ACTIVE", green + "ACTIVE" + plainAgain},
		{"State", "to do", yellow + "to do" + plainAgain},
		{"Status", "ERROR", red + "ERROR" + plainAgain},
		{"Status", "SHUTOFF", "SHUTOFF"},
		{"Name", "ACTIVE", "ACTIVE"},
	} {
		if got := (screen{colours: true}).colour(test.column, test.cell); got != test.want {
			t.Errorf("%s %s is shown as %q", test.column, test.cell, got)
		}
		if got := (screen{there: true}).colour(test.column, test.cell); got != test.cell {
			t.Errorf("without colours, %s is shown as %q", test.cell, got)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("X", 3600))
	if got := (screen{}).time(at); got != "2026-01-02T02:04:05Z" {
		t.Errorf("it is %s in a file", got)
	}
	if got := (screen{there: true}).time(at); got != at.Local().Format("2006-01-02 15:04:05 MST") {
		t.Errorf("it is %s on a terminal", got)
	}
	if got := (screen{there: true}).time(time.Time{}); got != "" {
		t.Errorf("no time is %q", got)
	}
	for format, want := range map[string]string{
		"json": `"At": "2026-01-02T02:04:05Z"`, "yaml": `At: "2026-01-02T02:04:05Z"`, "value": "2026-01-02T02:04:05Z", "csv": `"At","2026-01-02T02:04:05Z"`,
		"table": "| At    | 2026-01-02T02:04:05Z |",
	} {
		var b strings.Builder
		if err := (Style{Format: format}).Show(&b, []Field{{"At", at}}); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s has no %s (%v):\n%s", format, want, err, b.String())
		}
	}
}
