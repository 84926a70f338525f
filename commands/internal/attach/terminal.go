package attach

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"ndock/docker/agent"
)

// Terminal is the user's. Use Open.
type Terminal struct {
	in, out *os.File

	mu    sync.Mutex
	saved *term.State // as it was; nil while it is not raw
}

// Open returns the terminal that is read from, nil where that is none.
func Open(in io.Reader, out io.Writer) *Terminal {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	screen, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(screen.Fd())) {
		screen = file
	}
	return &Terminal{in: file, out: screen}
}

// Raw has each key come at once, as it is. Restore ends that.
func (t *Terminal) Raw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	saved, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return fmt.Errorf("take over the terminal: %w", err)
	}
	t.saved = saved
	return nil
}

// Restore makes the terminal what it was, if it is raw. What is typed and not read is dropped: it may be the terminal's answer
// to what the server wrote, and would be the shell's next command.
func (t *Terminal) Restore() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saved == nil {
		return
	}
	_ = unix.IoctlSetInt(int(t.in.Fd()), unix.TCFLSH, unix.TCIFLUSH) // a terminal that is gone has nothing
	_ = term.Restore(int(t.in.Fd()), t.saved)
	t.saved = nil
}

func (t *Terminal) raw() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saved != nil
}

// size returns false for a terminal that has none.
func (t *Terminal) size() (agent.Size, bool) {
	columns, rows, err := term.GetSize(int(t.out.Fd()))
	return agent.Size{Rows: rows, Columns: columns}, err == nil && rows > 0 && columns > 0
}

// resizes returns a channel that says when the terminal has another size. It never does where there is no terminal.
func (t *Terminal) resizes() (changed chan os.Signal, stop func()) {
	changed = make(chan os.Signal, 1)
	if t == nil {
		return changed, func() {}
	}
	signal.Notify(changed, unix.SIGWINCH)
	return changed, func() { signal.Stop(changed) }
}

// Lines returns a writer of whole lines to w, which is the terminal or is not: a raw one needs more to end a line.
func (t *Terminal) Lines(w io.Writer) io.Writer { return lines{t, w} }

type lines struct {
	t *Terminal
	w io.Writer
}

func (l lines) Write(b []byte) (int, error) {
	if !l.t.raw() {
		return l.w.Write(b)
	}
	text := append([]byte("\r\n"), b...)
	if last := len(text) - 1; text[last] == '\n' {
		text = append(text[:last], "\r\n"...)
	}
	if _, err := l.w.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}
