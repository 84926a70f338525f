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

	mu       sync.Mutex // guards all below, and the transfers
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.printLine(fmt.Sprintf(format, args...))
}

func (r *Reporter) printLine(text string) {
	r.bar.erase()
	fmt.Fprintln(r.w, output.Line(text))
	r.bar.draw(r.done, r.expected)
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

// Write counts. More bytes than expected move the end: an archive is somewhat larger than what it unpacks to, and what is
// sent again counts again.
func (t *Transfer) Write(p []byte) (int, error) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	t.sent += int64(len(p))
	t.total = max(t.total, t.sent+1)
	if bar := t.r.bar; bar != nil && !bar.visible && t.sent > 0 {
		bar.visible = true
		bar.draw(t.r.done, t.r.expected)
		go t.r.redraw(bar)
	}
	return len(p), nil
}

// redraw draws the bar anew until it is removed, also while nothing is written.
func (r *Reporter) redraw(b *bar) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.removed:
			return
		case <-tick.C:
			r.mu.Lock()
			b.draw(r.done, r.expected)
			r.mu.Unlock()
		}
	}
}

// End ends the transfer, which has succeeded if err is nil. The bar of one transfer stays on the screen, as far as it came;
// of several, each leaves a line above the bar.
func (t *Transfer) End(err error) {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	t.ended = true
	if err == nil {
		r.done++
		t.total = t.sent
	}
	if r.bar == nil {
		return
	}
	last := r.bar.finished()
	if r.expected == 1 {
		r.bar.leave(r.done, r.expected)
	} else if t.sent > 0 {
		r.printLine(t.outcome(err))
	}
	if last {
		r.bar.remove()
		r.bar = nil
	}
}

func (t *Transfer) outcome(err error) string {
	sent, took := units.BytesSize(float64(t.sent)), time.Since(t.begun).Round(time.Second)
	if err != nil {
		return fmt.Sprintf("%s: broke off after %s, in %s", t.title, sent, took)
	}
	return fmt.Sprintf("%s: %s in %s", t.title, sent, took)
}
