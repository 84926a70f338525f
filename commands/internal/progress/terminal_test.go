package progress

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"golang.org/x/sys/unix"
)

// terminal is one of the kernel's, and the screen of whoever sits at it.
type terminal struct {
	file    *os.File // what programs write to
	control *os.File
	read    chan error

	columns int
	screen  [][]rune // lines; a wide character has two cells
	row     int
	column  int
	frames  []string // the screen, each time that a line was erased to its end: when a bar is drawn
}

func openTerminal(t *testing.T, columns int) *terminal {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{file: file, control: control, read: make(chan error, 1), columns: columns, screen: [][]rune{nil}}
	go func() { term.read <- term.follow() }()
	return term
}

// What flow does, of the kernel's asm-generic/termbits.h.
const (
	stop = iota
	goOn
)

// flow stops the terminal, as Ctrl-S does, or has it go on.
func (t *terminal) flow(test *testing.T, action int) {
	test.Helper()
	if err := unix.IoctlSetInt(int(t.file.Fd()), unix.TCXONC, action); err != nil {
		test.Fatal(err)
	}
}

// close waits until all that was written is on the screen.
func (t *terminal) close(test *testing.T) {
	test.Helper()
	if err := t.file.Close(); err != nil {
		test.Fatal(err)
	}
	if err := <-t.read; err != nil {
		test.Fatal(err)
	}
}

// follow puts what is written on the screen, until the other end is closed.
func (t *terminal) follow() error {
	all, _ := io.ReadAll(t.control) // the end is an EIO here
	text := string(all)
	for text != "" {
		var err error
		if text, err = t.show(text); err != nil {
			return err
		}
	}
	return nil
}

// show does what the text begins with, and returns the rest.
func (t *terminal) show(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "\x1b[K"); ok {
		t.screen[t.row] = t.screen[t.row][:min(t.column, len(t.screen[t.row]))]
		t.frames = append(t.frames, strings.Join(t.lines(), "\n"))
		return rest, nil
	}
	r := []rune(text)[0]
	rest := strings.TrimPrefix(text, string(r))
	switch {
	case r == '\r':
		t.column = 0
	case r == '\n':
		t.down()
	case r < ' ':
		return "", fmt.Errorf("%q is written to the terminal", text[:min(len(text), 10)])
	default:
		t.put(r)
	}
	return rest, nil
}

func (t *terminal) put(r rune) {
	width := runewidth.RuneWidth(r)
	if t.column+width > t.columns {
		t.down()
		t.column = 0
	}
	line := t.screen[t.row]
	if t.column+width > len(line) {
		line = append(line, slices.Repeat([]rune{' '}, t.column+width-len(line))...)
	}
	line[t.column] = r
	t.screen[t.row] = line
	t.column += width
}

func (t *terminal) down() {
	if t.row++; t.row == len(t.screen) {
		t.screen = append(t.screen, nil)
	}
}

// lines are those of the screen, without spaces at their ends. The last one is empty where the cursor stands below all.
func (t *terminal) lines() []string {
	var all []string
	for _, line := range t.screen {
		all = append(all, strings.TrimRight(string(line), " "))
	}
	return all
}

// wantFrame wants the screen to have begun with the text at some time.
func (t *terminal) wantFrame(test *testing.T, text string) {
	test.Helper()
	if !slices.ContainsFunc(t.frames, func(frame string) bool { return strings.HasPrefix(frame, text) }) {
		test.Errorf("the screen never began with:\n%s\nit was:\n%s", text, strings.Join(t.frames, "\n----\n"))
	}
}
