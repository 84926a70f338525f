package progress

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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

// TestStepsOfOthersText: whatever a cloud answers is one line, and does nothing to a terminal.
func TestStepsOfOthersText(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	New(&told, false).Step("boot: %s", "\x1b[2J\nndock: all is well")
	if told.String() != `boot: \x1b[2J ndock: all is well`+"\n" {
		t.Errorf("told %q", told.String())
	}
}

// TestNoTerminal: no bar is drawn into a log.
func TestNoTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, size := range []int64{0, 3, 1 << 20} {
		transfer(New(file, false), "push web", size, 3)
	}
	var told strings.Builder
	several := New(&told, false)
	several.Expect(2)
	transfer(several, "push web", 3, 3)
	transfer(several, "push db", 3, 3)
	logged, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if len(logged) > 0 || told.String() != "" {
		t.Errorf("drawn: %q and %q", logged, told.String())
	}
}

// transfer transfers so many bytes of a size that was expected.
func transfer(r *Reporter, title string, size int64, bytes int) {
	t := r.Transfer(title, size)
	send(t, bytes)
	t.End(nil)
}

func send(t *Transfer, bytes int) {
	_, _ = io.WriteString(t, strings.Repeat("x", bytes)) // it never fails
}

// TestOneTransfer: its bar comes with the first byte, and stays on the screen, as far as it came.
func TestOneTransfer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size  int64
		bytes int
		err   error
		want  string // how the line begins, behind what turns where the size is unknown
	}{
		"whole":              {2048, 2048, nil, `push web 100% [==========] (2.0/2.0 KiB, `},
		"less than expected": {4096, 2048, nil, `push web 100% [==========] (2.0/2.0 KiB, `},
		"more than expected": {1024, 2048, nil, `push web 100% [==========] (2.0/2.0 KiB, `},
		"broken off":         {4096, 2048, errors.New("gone"), `push web  50% [====>.....] (2.0/4.0 KiB, `},
		"more, broken off":   {1024, 2048, errors.New("gone"), `push web  99% [========>.] (2.0/2.0 KiB, `},
		"unknown size":       {0, 2048, nil, `push web (2.0 KiB, `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			terminal := openTerminal(t, 80)
			web := New(terminal.file, false).Transfer("push web", test.size)
			send(web, test.bytes)
			web.End(test.err)
			terminal.close(t)
			lines := terminal.lines()
			if len(lines) != 2 || lines[1] != "" || !strings.HasPrefix(strings.TrimLeft(lines[0], `-/|\ `), test.want) || !strings.Contains(lines[0], "/s) [0s") {
				t.Errorf("on the screen:\n%s\nwant a line that begins with %q, and the cursor below it", strings.Join(lines, "\n"), test.want)
			}
		})
	}
}

// TestNothingToDraw: what sends nothing has no bar, and --quiet draws none.
func TestNothingToDraw(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	transfer(New(terminal.file, true), "push web", 3, 3)
	transfer(New(terminal.file, false), "push web", 3, 0)
	several := New(terminal.file, false)
	several.Expect(2)
	transfer(several, "push web", 3, 0)
	transfer(several, "push db", 3, 0)
	terminal.close(t)
	if got := strings.Join(terminal.lines(), "\n"); got != "" || len(terminal.frames) > 0 {
		t.Errorf("on the screen:\n%s", got)
	}
}

// TestStepAboveTheBar: a line that is printed while a bar is there stands above it, whole.
func TestStepAboveTheBar(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	synctest.Test(t, func(*testing.T) {
		r := New(terminal.file, false)
		web := r.Transfer("push web", 2048)
		send(web, 1024)
		synctest.Wait() // until it is drawn
		r.Step("trying again")
		send(web, 1024)
		web.End(nil)
		r.Step("done")
	})
	terminal.close(t)
	lines := terminal.lines()
	if len(lines) != 4 || lines[0] != "trying again" || !strings.HasPrefix(lines[1], "push web 100%") || lines[2] != "done" {
		t.Errorf("on the screen:\n%s", strings.Join(lines, "\n"))
	}
	terminal.wantFrame(t, "push web  50% [====>.....] (1.0/2.0 KiB")
	terminal.wantFrame(t, "trying again\npush web  50% [====>.....] (1.0/2.0 KiB")
}

// TestSeveralTransfers: several have one bar, which says how many are done. Each leaves a line above it.
func TestSeveralTransfers(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	synctest.Test(t, func(*testing.T) {
		r := New(terminal.file, false)
		r.Expect(4)
		one, two := r.Transfer("push one", 1024), r.Transfer("push two", 3072)
		send(one, 1024)
		synctest.Wait() // until it is drawn
		send(two, 1024)
		one.End(nil)
		three, four := r.Transfer("push three", 0), r.Transfer("push four", 1024)
		four.End(nil) // it was there
		send(three, 512)
		send(two, 1024)
		two.End(errors.New("gone"))
		three.End(nil)
		r.Step("the end")
	})
	terminal.close(t)
	want := "push one: 1KiB in 0s\npush two: broke off after 2KiB, in 0s\npush three: 512B in 0s\nthe end\n"
	if got := strings.Join(terminal.lines(), "\n"); got != want {
		t.Errorf("on the screen:\n%s\nwant:\n%s", got, want)
	}
	terminal.wantFrame(t, "0 of 4 done  24% [=>........] (1.0/4.0 KiB")
	terminal.wantFrame(t, "push one: 1KiB in 0s\n1 of 4 done  50% [====>.....] (2.0/4.0 KiB")
	terminal.wantFrame(t, "push one: 1KiB in 0s\npush two: broke off after 2KiB, in 0s\n2 of 4 done  77% [======>...] (3.5/4.5 KiB")
}

// TestUnannounced: transfers that run at the same time share a bar, though nobody has said that there would be several.
func TestUnannounced(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	r := New(terminal.file, false)
	one := r.Transfer("push one", 1024)
	send(one, 512)
	two := r.Transfer("push two", 1024)
	send(two, 1024)
	two.End(nil)
	one.End(nil)
	terminal.close(t)
	if got, want := strings.Join(terminal.lines(), "\n"), "push two: 1KiB in 0s\npush one: 512B in 0s\n"; got != want {
		t.Errorf("on the screen:\n%s\nwant:\n%s", got, want)
	}
	terminal.wantFrame(t, "push two: 1KiB in 0s\n1 of 2 done  75%")
}

// TestNothingMoves: the bar goes on to tell the time while nothing is sent.
func TestNothingMoves(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	synctest.Test(t, func(*testing.T) {
		web := New(terminal.file, false).Transfer("push web", 2048)
		send(web, 1024)
		time.Sleep(3*time.Second + time.Millisecond)
		web.End(errors.New("gone"))
	})
	terminal.close(t)
	if got := terminal.lines()[0]; !strings.HasPrefix(got, "push web  50%") || !strings.Contains(got, " [3s:") {
		t.Errorf("on the screen: %q", got)
	}
	terminal.wantFrame(t, "push web  50% [====>.....] (1.0/2.0 KiB")
	if len(terminal.frames) < 20 {
		t.Errorf("drawn %d times in three seconds", len(terminal.frames))
	}
}

// TestStoppedTerminal: a transfer goes on while its bar cannot be drawn, because Ctrl-S has stopped the terminal.
func TestStoppedTerminal(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	r := New(terminal.file, false)
	web := r.Transfer("push web", 3072)
	terminal.flow(t, stop)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(web, 1024)
		for r.screen.TryLock() { // until it is being drawn
			r.screen.Unlock()
			runtime.Gosched()
		}
		send(web, 2048)
	}()
	select {
	case <-sent:
	case <-time.After(time.Minute):
		t.Error("the transfer waits for the terminal")
	}
	terminal.flow(t, goOn)
	<-sent
	web.End(nil)
	terminal.close(t)
	if got := terminal.lines()[0]; !strings.HasPrefix(got, "push web 100% [==========] (3.0/3.0 KiB, ") {
		t.Errorf("on the screen: %q", got)
	}
}

// TestNarrowTerminal: a bar is one line on any terminal, or each time it is drawn it would leave one.
func TestNarrowTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{10, 20, 40, 60} {
		terminal := openTerminal(t, columns)
		r := New(terminal.file, false)
		r.Step("go")
		transfer(r, "push registry.example.com/site/日本語:with-a-long-name", 2048, 2048)
		transfer(r, "push registry.example.com/site/日本語:with-a-long-name", 0, 2048)
		terminal.close(t)
		lines := terminal.lines()
		if len(lines) != 4 || !strings.HasPrefix(lines[1], "p") {
			t.Errorf("on %d columns:\n%s", columns, strings.Join(lines, "\n"))
		}
		if columns >= 30 && !strings.Contains(lines[1], "... 100%") {
			t.Errorf("on %d columns the title leaves no room: %q", columns, lines[1])
		}
	}
}

// TestHostileTitle: what others have called an image does nothing to a terminal.
func TestHostileTitle(t *testing.T) {
	t.Parallel()
	terminal := openTerminal(t, 80)
	transfer(New(terminal.file, false), "push \x1b[2J\nweb", 3, 3)
	terminal.close(t)
	if lines := terminal.lines(); len(lines) != 2 || !strings.HasPrefix(lines[0], `push \x1b[2J web 100%`) {
		t.Errorf("on the screen:\n%s", strings.Join(lines, "\n"))
	}
}
