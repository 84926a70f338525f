// Package progress tells on stderr what a long command is doing: bars on a terminal, a line a step otherwise,
// nothing when it shall be quiet.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"ndock/commands/internal/output"
)

// Reporter is where a command reports to. Any number of goroutines may.
type Reporter struct {
	w        io.Writer
	quiet    bool
	terminal bool

	mu    sync.Mutex // guards all below
	bars  *mpb.Progress
	drawn int // bars that are not closed
}

// New reports to w.
func New(w io.Writer, quiet bool) *Reporter {
	file, ok := w.(*os.File)
	return &Reporter{w: w, quiet: quiet, terminal: ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"}
}

// Step tells that something begins or was found, in one line, which stands above the bars if there are any.
func (r *Reporter) Step(format string, args ...any) {
	if r.quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	into := r.w
	if r.bars != nil {
		into = r.bars
	}
	fmt.Fprintln(into, output.Line(fmt.Sprintf(format, args...)))
}

// Bar counts the bytes written to it, up to total (in bytes; 0 if that is not known). It shows on terminals only, beside
// others. It is to be closed, however the transfer ends.
func (r *Reporter) Bar(title string, total int64) io.WriteCloser {
	return &transfer{r: r, title: title, total: total}
}

// begin draws a bar.
func (r *Reporter) begin(title string, total int64) *mpb.Bar {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bars == nil {
		r.bars = mpb.New(mpb.WithOutput(r.w), mpb.WithAutoRefresh())
	}
	r.drawn++
	counters := decor.Counters(decor.SizeB1024(0), "% .1f / % .1f", decor.WCSyncSpace)
	if total <= 0 {
		counters = decor.Current(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace)
	}
	return r.bars.AddBar(total,
		mpb.PrependDecorators(decor.Name(output.Line(title), decor.WCSyncSpaceR), counters),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace)),
	)
}

// end leaves the bar as far as it came. With the last one, the terminal is free for lines again.
func (r *Reporter) end(bar *mpb.Bar) {
	bar.Abort(false) // which does nothing to a full one
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drawn--; r.drawn == 0 {
		r.bars.Wait()
		r.bars = nil
	}
}

// transfer is a bar that has not been drawn before its first byte.
type transfer struct {
	r     *Reporter
	title string
	total int64
	sent  int64
	bar   *mpb.Bar
}

// Write counts. More than was expected moves the end: an archive is somewhat larger than what it unpacks to.
func (t *transfer) Write(p []byte) (int, error) {
	if t.sent += int64(len(p)); !t.r.terminal || t.r.quiet {
		return len(p), nil
	}
	if t.bar == nil {
		t.bar = t.r.begin(t.title, t.total)
	}
	if t.total > 0 && t.sent > t.total {
		t.total = t.sent + 1 // not full before it is closed
		t.bar.SetTotal(t.total, false)
	}
	t.bar.IncrBy(len(p))
	return len(p), nil
}

// Close leaves the bar as far as it came.
func (t *transfer) Close() error {
	if t.bar != nil {
		t.r.end(t.bar)
	}
	return nil
}
