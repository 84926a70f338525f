// Package progress tells on stderr what a long command is doing: a bar on a terminal, a line a step otherwise,
// nothing when it shall be quiet.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Reporter is where a command reports to.
type Reporter struct {
	w        io.Writer
	quiet    bool
	terminal bool
}

// New reports to w.
func New(w io.Writer, quiet bool) *Reporter {
	file, ok := w.(*os.File)
	return &Reporter{w: w, quiet: quiet, terminal: ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"}
}

// Step tells that something begins or was found, in one line.
func (r *Reporter) Step(format string, args ...any) {
	if !r.quiet {
		fmt.Fprintf(r.w, format+"\n", args...)
	}
}

// Bar counts the bytes written to it, up to total (in bytes; 0 if that is not known). It shows on terminals only.
// It is to be closed, however the transfer ends.
func (r *Reporter) Bar(title string, total int64) io.WriteCloser {
	if total == 0 {
		total = -1
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(r.w),
		progressbar.OptionSetVisibility(r.terminal && !r.quiet),
		progressbar.OptionSetDescription(title),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionFullWidth(),
		progressbar.OptionUseIECUnits(true),
	)
	return &transfer{bar: bar, r: r, total: total}
}

// transfer is a bar that has not been drawn before its first byte.
type transfer struct {
	bar     *progressbar.ProgressBar
	r       *Reporter
	total   int64
	sent    int64
	started bool
}

// Write counts. More than was expected moves the end: an archive is somewhat larger than what it unpacks to.
func (t *transfer) Write(p []byte) (int, error) {
	t.started = true
	if t.sent += int64(len(p)); t.total > 0 && t.sent > t.total {
		t.total = t.sent
		t.bar.ChangeMax64(t.total)
	}
	return t.bar.Write(p)
}

// Close leaves the bar as far as it came.
func (t *transfer) Close() error {
	if !t.started || !t.r.terminal || t.r.quiet {
		return nil
	}
	err := t.bar.Exit()
	fmt.Fprintln(t.r.w)
	return err
}
