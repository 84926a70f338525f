package output

import (
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// screen is the terminal that a table is shown on. The zero screen is none: a file, a pipe.
type screen struct {
	width   int // 0 when it is not known
	there   bool
	colours bool
}

// screenOf returns the terminal behind a writer of ForTerminal's. NO_COLOR keeps it without colours (no-color.org).
func screenOf(w io.Writer) screen {
	visible, ok := w.(visibleWriter)
	if !ok {
		return screen{}
	}
	file, ok := visible.w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return screen{}
	}
	width, _, _ := term.GetSize(int(file.Fd())) // none is 0
	return screen{width: width, there: true, colours: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// time writes times in the zone of who reads them on a terminal, and as ISO 8601 has them elsewhere.
func (s screen) time(t time.Time) string {
	if s.there && !t.IsZero() {
		return t.Local().Format("2006-01-02 15:04:05 MST")
	}
	return isoTime(t)
}

// isoTime returns nothing for the zero time.
func isoTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// leastWidth is what a column keeps of its cells, however narrow the terminal is.
const leastWidth = 8

// fit makes cells narrower where a table is wider than the terminal, the widest columns first. Those of sentences are wrapped,
// and the others cut. Ids stay whole: they are there to be copied.
func (s screen) fit(headers []string, rows [][]string, sentences []string) {
	if s.width == 0 {
		return
	}
	widths := columnWidths(headers, rows, s.width)
	left := s.width - 3*len(headers) - 1 // of the lines between them
	for sum(widths) > left {
		widest := widestColumn(headers, widths)
		if widest < 0 {
			break // it is too wide, and the terminal wraps it
		}
		widths[widest]--
	}
	for _, row := range rows {
		for i, cell := range row {
			if slices.Contains(sentences, headers[i]) {
				row[i] = wrap(cell, widths[i])
			} else {
				row[i] = cut(cell, widths[i], headers[i] == "ID")
			}
		}
	}
}

// columnWidths returns the width of each column, limited to most.
func columnWidths(headers []string, rows [][]string, most int) []int {
	widths := make([]int, len(headers))
	for i, header := range headers {
		widths[i] = runewidth.StringWidth(header)
		for _, row := range rows {
			for line := range strings.Lines(row[i]) {
				widths[i] = max(widths[i], min(most, runewidth.StringWidth(strings.TrimSuffix(line, "\n"))))
			}
		}
	}
	return widths
}

func sum(numbers []int) int {
	total := 0
	for _, number := range numbers {
		total += number
	}
	return total
}

// widestColumn returns the one to make narrower, or -1 when none can be.
func widestColumn(headers []string, widths []int) int {
	widest := -1
	for i, width := range widths {
		least := max(leastWidth, runewidth.StringWidth(headers[i]))
		if headers[i] != "ID" && width > least && (widest < 0 || width > widths[widest]) {
			widest = i
		}
	}
	return widest
}

// cut shortens each line to the width.
func cut(cell string, width int, whole bool) string {
	if whole {
		return cell
	}
	lines := strings.Split(cell, "\n")
	for i, line := range lines {
		lines[i] = runewidth.Truncate(line, width, "…")
	}
	return strings.Join(lines, "\n")
}

// wrap breaks lines between words, and words that are longer than the width.
func wrap(cell string, width int) string {
	var lines []string
	for line := range strings.SplitSeq(cell, "\n") {
		current := ""
		for word := range strings.SplitSeq(line, " ") {
			if next := current + " " + word; current != "" && runewidth.StringWidth(next) <= width {
				current = next
				continue
			} else if current != "" {
				lines = append(lines, current)
			}
			broken := strings.Split(runewidth.Wrap(word, width), "\n")
			lines = append(lines, broken[:len(broken)-1]...)
			current = broken[len(broken)-1]
		}
		lines = append(lines, current)
	}
	return strings.Join(lines, "\n")
}

// Colours of states, by the words for them that Nova, Glance, Docker and ndock have.
const (
	green, yellow, red = "\x1b[32m", "\x1b[33m", "\x1b[31m"
	plainAgain         = "\x1b[0m"
)

var stateColours = map[string][]string{
	green:  {"active", "ok", "done", "running", "up"},
	yellow: {"build", "reboot", "hard_reboot", "resize", "verify_resize", "paused", "suspended", "rescue", "password", "queued", "saving", "importing", "warning", "to do", "restarting", "created"},
	red:    {"error", "killed", "damaged", "missing", "failed", "crashed", "dead"},
}

// colour gives a state its colour, and leaves alone what is none.
func (s screen) colour(column, cell string) string {
	if !s.colours || !slices.Contains([]string{"Status", "State", "Power State"}, column) {
		return cell
	}
	for colour, states := range stateColours {
		if slices.Contains(states, strings.ToLower(cell)) {
			return colour + cell + plainAgain
		}
	}
	return cell
}
