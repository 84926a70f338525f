package progress

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// eraseLine erases from the cursor to the end of its line.
const eraseLine = "\x1b[K"

// bar is the line at the bottom of a terminal that shows the transfers that are under way. A nil bar is not visible.
type bar struct {
	tty       *os.File
	title     string // of a single transfer
	sized     bool   // whether the first transfer's size is known
	visible   bool
	transfers []*Transfer
	rendered  *progressbar.ProgressBar
	removed   chan struct{} // closed when it is
}

// newBar returns a bar that is not visible yet. It measures time from now on.
func newBar(tty *os.File, title string, total int64) *bar {
	b := &bar{
		tty: tty, title: runewidth.Truncate(title, columns(tty)*2/5, "..."), sized: total > 0, removed: make(chan struct{}),
	}
	if !b.sized {
		total = -1
	}
	b.rendered = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(io.Discard), // it renders, Reporter.draw puts that on the screen
		progressbar.OptionSetWidth(min(max((columns(tty)-50)/3, 1), 40)),
		progressbar.OptionSetTheme(progressbar.ThemeASCII),
		progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowElapsedTimeOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0)) // no goroutine of its own
	b.rendered.StartWithoutRender()
	return b
}

// columns returns how wide the terminal is.
func columns(tty *os.File) int {
	if width, _, err := term.GetSize(int(tty.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// text returns the sum of all transfers, in a line that is never longer than the terminal is wide; empty where the bar is not
// visible.
func (b *bar) text(done, expected int) string {
	if b == nil || !b.visible {
		return ""
	}
	var sent, total int64
	for _, t := range b.transfers {
		sent, total = sent+t.sent, total+t.total
	}
	if b.sized {
		b.rendered.ChangeMax64(total)
	}
	if text := b.description(done, expected); text != b.rendered.State().Description {
		b.rendered.Describe(text)
	}
	b.rendered.Set64(sent)
	line := strings.TrimPrefix(b.rendered.String(), "\r")
	return runewidth.Truncate(line, columns(b.tty)-1, "")
}

func (b *bar) description(done, expected int) string {
	if expected == 1 {
		return b.title
	}
	return fmt.Sprintf("%d of %d done", done, expected)
}

// finished reports whether all transfers have ended.
func (b *bar) finished() bool {
	for _, t := range b.transfers {
		if !t.ended {
			return false
		}
	}
	return true
}
