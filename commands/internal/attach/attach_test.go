package attach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ndock/docker/agent"
)

// pipe is a connection to a console whose other end is the test's.
type pipe struct{ net.Conn }

func (pipe) KeepAlive(ctx context.Context) { <-ctx.Done() }

// consoles gives out connections, and serves each with the next of these; then there are none.
func consoles(serve ...func(console net.Conn)) func(context.Context) (Conn, error) {
	return func(context.Context) (Conn, error) {
		if len(serve) == 0 {
			return nil, errors.New("no more consoles")
		}
		ours, theirs := net.Pipe()
		go func(next func(net.Conn)) { defer theirs.Close(); next(theirs) }(serve[0])
		serve = serve[1:]
		return pipe{ours}, nil
	}
}

// quiet breaks a connection off without a word, and echo says what it is told until the word "exit".
func quiet(net.Conn) {}

func echo(console net.Conn) {
	fmt.Fprint(console, agent.SizesTaken)
	buffer := make([]byte, 4096)
	for {
		n, err := console.Read(buffer)
		if err != nil {
			return
		}
		fmt.Fprintf(console, "[%s]", buffer[:n])
		if bytes.Contains(buffer[:n], []byte("exit")) {
			return
		}
	}
}

// told collects what a user is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (t *told) tell(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// attach runs a session of a server that is active for the first questions and SHUTOFF then.
func attach(t *testing.T, in string, active int, dial func(context.Context) (Conn, error)) (out, lines string, err error) {
	t.Helper()
	var printed bytes.Buffer
	var said told
	err = Run(t.Context(), Options{
		Dial: dial, Tell: said.tell, In: strings.NewReader(in), Out: &printed, Linger: 20 * time.Millisecond,
		Final: func(err error) bool { return err.Error() == "no more consoles" },
		Wait:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Status: func(context.Context) (string, error) {
			if active--; active < 0 {
				return "SHUTOFF", nil
			}
			return "ACTIVE", nil
		},
	})
	return printed.String(), strings.Join(said.lines, "\n"), err
}

func TestAttach(t *testing.T) {
	t.Parallel()
	const lost = "The connection was lost: the proxy closed it; connecting again\n"
	for name, one := range map[string]struct {
		in         string
		active     int
		serve      []func(net.Conn)
		out, lines string
		err        string
	}{
		"the input ends":    {in: "ls", serve: []func(net.Conn){echo}, out: "[ls]"},
		"the server ends":   {in: "exit", serve: []func(net.Conn){echo}, out: "[exit]", lines: "The server is SHUTOFF"},
		"is made again":     {in: "ls", active: 1, serve: []func(net.Conn){quiet, echo}, out: "[ls]", lines: lost + "Connected again"},
		"and again":         {in: "ls", active: 9, serve: []func(net.Conn){quiet, quiet, echo}, out: "[ls]", lines: lost + "Connected again\n" + lost + "Connected again"},
		"there is no other": {in: "exit", active: 9, serve: []func(net.Conn){echo}, out: "[exit]", lines: strings.TrimSuffix(lost, "\n"), err: "no more consoles"},
		"never":             {active: 9, err: "no more consoles"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, lines, err := attach(t, one.in, one.active, consoles(one.serve...))
			if out != one.out || lines != one.lines || (err == nil) != (one.err == "") || err != nil && !strings.Contains(err.Error(), one.err) {
				t.Errorf("got %q, told %q, %v", out, lines, err)
			}
		})
	}
}

// TestChatter: a server that never stops does not keep who has no more input.
func TestChatter(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	go func() {
		_, _, err := attach(t, "ls", 0, consoles(func(console net.Conn) {
			go io.Copy(io.Discard, console)
			for n := 0; ; n++ {
				if _, err := fmt.Fprintln(console, n); err != nil {
					return
				}
			}
		}))
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}

// TestOutputFails: with nobody who reads, there is no use in another connection.
func TestOutputFails(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	reader.CloseWithError(io.ErrClosedPipe)
	err := Run(t.Context(), Options{Dial: consoles(echo, echo), In: strings.NewReader("ls"), Out: writer, Linger: time.Minute})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestInput(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		typed  string
		escape Key
		want   string
		left   bool
	}{
		"leaves":   {"ls\r\x1dmore", 0x1d, "ls\r", true},
		"at once":  {"\x1d", 0x1d, "", true},
		"no key":   {"a\x1db", NoKey, "a\x1db", false},
		"another":  {"a\x1db\x01", 0x01, "a\x1db", true},
		"no input": {"", 0x1d, "", false},
	} {
		in := readInput(t.Context(), strings.NewReader(one.typed), one.escape, func(do func()) { do() })
		var got []byte
		for piece := range in.pieces {
			got = append(got, piece...)
		}
		if string(got) != one.want || in.hasLeft() != one.left {
			t.Errorf("%s: got %q, %v", name, got, in.hasLeft())
		}
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Key{"^]": 0x1d, "ctrl-a": 1, "CTRL-P": 0x10, "^@": 0, "^_": 0x1f, "none": NoKey} {
		if got, err := ParseKey(text); got != want || err != nil {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "^", "a", "^ab", "ctrl-", "ctrl-1", "^é", "^~", "]"} {
		if got, err := ParseKey(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// TestSizesTaken: what a console sends first is taken out at the beginning, however it is cut, and nowhere else.
func TestSizesTaken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		agent.SizesTaken + "hello": "hello", "hello": "hello", "\x1b]7109;x": "\x1b]7109;x", "\x1b": "\x1b",
		"a" + agent.SizesTaken: "a" + agent.SizesTaken, agent.SizesTaken + agent.SizesTaken: agent.SizesTaken,
	} {
		var out bytes.Buffer
		sized := false
		err := copyOutput(&out, &oneByOne{text}, func() { sized = true }, func() {})
		if !errors.Is(err, io.EOF) || out.String() != want || sized != strings.HasPrefix(text, agent.SizesTaken) {
			t.Errorf("%q: got %q, %v, %v", text, out.String(), sized, err)
		}
	}
}

// oneByOne gives one byte at a time.
type oneByOne struct{ text string }

func (o *oneByOne) Read(p []byte) (int, error) {
	if o.text == "" {
		return 0, io.EOF
	}
	n := copy(p[:1], o.text)
	o.text = o.text[n:]
	return n, nil
}

func TestWholeCharacters(t *testing.T) {
	t.Parallel()
	var pieces []string
	w := WholeCharacters(writeFunc(func(b []byte) { pieces = append(pieces, string(b)) }))
	for _, b := range []byte("aö\r\n日") {
		if n, err := w.Write([]byte{b}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got, want := strings.Join(pieces, "|"), "a|ö|\r\n|日"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type writeFunc func(b []byte)

func (f writeFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
