// Package progress tells on stderr what a long command is doing: a bar on a terminal, a line a step otherwise, nothing
// with --quiet.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/term"

	"ndock/commands/internal/output"
)

// Reporter is where a command reports to. Any number of goroutines may use it.
type Reporter struct {
	w     io.Writer
	quiet bool
	tty   *os.File // nil where w is no terminal

	screen sync.Mutex // held while w is written to, which blocks while Ctrl-S has stopped the terminal; taken before mu

	mu       sync.Mutex // guards all below, bars and transfers, and is never held while w is written to
	expected int        // transfers in all
	done     int        // of these, those that succeeded
	bar      *bar       // nil while no transfer is under way
}

// New returns a Reporter that writes to w, or nothing if quiet.
func New(w io.Writer, quiet bool) *Reporter {
	r := &Reporter{w: w, quiet: quiet}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		r.tty = file
	}
	return r
}

// Step prints a line that says what begins or was found, above the bar if there is one.
func (r *Reporter) Step(format string, args ...any) {
	if r.quiet {
		return
	}
	r.screen.Lock()
	defer r.screen.Unlock()
	r.printLine(r.current(), fmt.Sprintf(format, args...))
}

// current returns the bar, nil while no transfer is under way.
func (r *Reporter) current() *bar {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bar
}

// printLine prints a line above the bar.
func (r *Reporter) printLine(b *bar, text string) {
	r.erase(b)
	fmt.Fprintln(r.w, output.Line(text))
	r.draw(b)
}

// erase takes the bar off the screen.
func (r *Reporter) erase(b *bar) {
	if r.isVisible(b) {
		fmt.Fprint(r.tty, "\r"+eraseLine)
	}
}

// draw draws the bar anew.
func (r *Reporter) draw(b *bar) {
	if text := r.text(b); text != "" {
		fmt.Fprintf(r.tty, "\r%s%s", text, eraseLine)
	}
}

func (r *Reporter) isVisible(b *bar) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return b != nil && b.visible
}

func (r *Reporter) text(b *bar) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return b.text(r.done, r.expected)
}

// Expect announces that there will be n transfers. Several share one bar, which says how many are done.
func (r *Reporter) Expect(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = n
}

// Transfer counts the bytes of one transfer, which are written to it. It shows on terminals only, from its first byte on.
type Transfer struct {
	r     *Reporter
	title string
	begun time.Time
	total int64 // expected bytes: more than sent, until the transfer ends
	sent  int64
	ended bool
}

// Transfer begins a transfer of so many bytes; 0 if that is not known. The caller is to End it.
func (r *Reporter) Transfer(title string, total int64) *Transfer {
	t := &Transfer{r: r, title: output.Line(title), begun: time.Now(), total: max(total, 1)}
	if r.quiet || r.tty == nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bar == nil {
		r.bar = newBar(r.tty, t.title, total)
	}
	r.bar.transfers = append(r.bar.transfers, t)
	r.expected = max(r.expected, len(r.bar.transfers))
	return t
}

// Write counts, and does not wait for the terminal. More bytes than expected move the end: an archive is somewhat larger
// than what it unpacks to, and what is sent again counts again.
func (t *Transfer) Write(p []byte) (int, error) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	t.sent += int64(len(p))
	t.total = max(t.total, t.sent+1)
	if bar := t.r.bar; bar != nil && !bar.visible && t.sent > 0 && !t.ended {
		bar.visible = true
		go t.r.redraw(bar)
	}
	return len(p), nil
}

// redraw draws the bar, and draws it anew until it is removed, also while nothing is written.
func (r *Reporter) redraw(b *bar) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		r.screen.Lock()
		r.draw(b)
		r.screen.Unlock()
		select {
		case <-b.removed:
			return
		case <-tick.C:
		}
	}
}

// End ends the transfer, which has succeeded if err is nil. The bar of one transfer stays on the screen, as far as it came;
// of several, each leaves a line above the bar.
func (t *Transfer) End(err error) {
	r := t.r
	r.screen.Lock()
	defer r.screen.Unlock()
	b, single, line, last := t.end(err)
	switch {
	case b == nil:
		return
	case single:
		r.leave(b)
	case line != "":
		r.printLine(b, line)
	}
	if last {
		r.remove(b)
	}
}

// end counts the transfer as ended. It returns its bar, whether that is of a single transfer, a line on what came of it where
// something was sent, and whether the bar has no other transfer any more. In that case the next transfer gets another bar.
func (t *Transfer) end(err error) (b *bar, single bool, line string, last bool) {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	t.ended = true
	if err == nil {
		r.done++
		t.total = t.sent
	}
	if t.sent > 0 {
		line = t.outcome(err)
	}
	if b = r.bar; b != nil && b.finished() {
		r.bar, last = nil, true
	}
	return b, r.expected == 1, line, last
}

// leave draws the bar for the last time, and lets the next line stand below it.
func (r *Reporter) leave(b *bar) {
	if r.isVisible(b) {
		r.draw(b)
		fmt.Fprintln(r.tty)
		r.hide(b)
	}
}

// remove erases the bar for good.
func (r *Reporter) remove(b *bar) {
	r.erase(b)
	r.hide(b)
	close(b.removed)
}

func (r *Reporter) hide(b *bar) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.visible = false
}

func (t *Transfer) outcome(err error) string {
	sent, took := units.BytesSize(float64(t.sent)), time.Since(t.begun).Round(time.Second)
	if err != nil {
		return fmt.Sprintf("%s: broke off after %s, in %s", t.title, sent, took)
	}
	return fmt.Sprintf("%s: %s in %s", t.title, sent, took)
}
