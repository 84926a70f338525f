package progress

import (
	"io"
	"os"
	"strings"
	"testing"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	New(&told, false).Step("image %q is there", "web")
	if told.String() != "image \"web\" is there\n" {
		t.Errorf("told %q", told.String())
	}
	told.Reset()
	New(&told, true).Step("image %q is there", "web")
	if told.String() != "" {
		t.Errorf("told %q, though it shall be quiet", told.String())
	}
}

// TestStepsOfOthersText: whatever a cloud answers, it is a line, and does nothing to a terminal.
func TestStepsOfOthersText(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	New(&told, false).Step("boot: %s", "\x1b[2J\nndock: all is well")
	if told.String() != `boot: \x1b[2J ndock: all is well`+"\n" {
		t.Errorf("told %q", told.String())
	}
}

// TestNoTerminal: a log is no place for a bar.
func TestNoTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, size := range []int64{0, 3, 1 << 20} {
		send(t, New(file, false), size)
	}
	var told strings.Builder
	send(t, New(&told, false), 3)
	logged, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if len(logged) > 0 || told.String() != "" {
		t.Errorf("drawn: %q and %q", logged, told.String())
	}
}

// TestTerminal: the bar shows on one, as far as it came, and not when it shall be quiet.
func TestTerminal(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	send(t, &Reporter{w: &told, terminal: true}, 3)
	if !strings.Contains(told.String(), "push web") || !strings.HasSuffix(told.String(), "\n") {
		t.Errorf("drawn: %q, want a bar and the end of its line", told.String())
	}
	told.Reset()
	send(t, &Reporter{w: &told, terminal: true, quiet: true}, 3)
	if told.String() != "" {
		t.Errorf("drawn: %q, though it shall be quiet", told.String())
	}
	told.Reset()
	if err := (&Reporter{w: &told, terminal: true}).Bar("push web", 3).Close(); err != nil {
		t.Fatal(err)
	}
	if told.String() != "" {
		t.Errorf("drawn: %q, before the first byte", told.String())
	}
}

// send sends three bytes, of however many were expected.
func send(t *testing.T, reporter *Reporter, size int64) {
	t.Helper()
	bar := reporter.Bar("push web", size)
	if n, err := io.WriteString(bar, "abc"); err != nil || n != 3 {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
	if err := bar.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMoreThanExpected: an engine's idea of a size is not what it sends.
func TestMoreThanExpected(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	send(t, &Reporter{w: &told, terminal: true}, 1)
}

// TestSideBySide: each has a bar, and a step stands above them.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	reporter := &Reporter{w: &told, terminal: true}
	one, two := reporter.Bar("push one", 10), reporter.Bar("push two", 0)
	for _, bar := range []io.Writer{one, two} {
		if _, err := io.WriteString(bar, "abc"); err != nil {
			t.Fatal(err)
		}
	}
	reporter.Step("image %q is there", "three")
	for _, bar := range []io.Closer{one, two} {
		if err := bar.Close(); err != nil {
			t.Fatal(err)
		}
	}
	reporter.Step("done")
	for _, want := range []string{"push one", "push two", "image \"three\" is there\n"} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("drawn: %q, without %q", told.String(), want)
		}
	}
	if !strings.HasSuffix(told.String(), "\ndone\n") {
		t.Errorf("drawn: %q, want a line below the bars at the end", told.String())
	}
}
