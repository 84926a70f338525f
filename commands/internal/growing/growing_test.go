package growing

import (
	"strings"
	"testing"
	"time"
)

func TestGrow(t *testing.T) {
	t.Parallel()
	const ended = "\r\n[ndock] the process ended with status 0 at 2026-11-25T06:00:00Z\r\n"
	for name, steps := range map[string][][2]string{
		"grows":          {{"one\n", "one\n"}, {"one\n", ""}, {"one\ntwo\n", "two\n"}},
		"is cut":         {{"one\ntwo\nthree\n", "one\ntwo\nthree\n"}, {"two\nthree\nfour\n", "four\n"}},
		"is another":     {{"one\n", "one\n"}, {"boot", "boot"}},
		"is empty":       {{"", ""}, {"one", "one"}},
		"ends":           {{"one\r\n", "one\r\n"}, {"one\r\n" + ended, ended}, {"one\r\n" + ended, ""}},
		"runs again":     {{"one\r\n" + ended, "one\r\n" + ended}, {"one\r\ntwo\r\n", "two\r\n"}},
		"half character": {{"gr\ufffd", "gr"}, {"größe", "öße"}},
		"repeats":        {{"abab", "abab"}, {"ababab", "ab"}},
	} {
		var log Log
		for _, step := range steps {
			if got := log.Grow(step[0]); got != step[1] {
				t.Errorf("%s: of %q got %q, want %q", name, step[0], got, step[1])
			}
		}
	}
}

// TestGrowIsQuick, whatever a server has written.
func TestGrowIsQuick(t *testing.T) {
	t.Parallel()
	var log Log
	same := strings.Repeat("a", 512<<10)
	log.Grow(same + "b")
	begun := time.Now()
	if got := log.Grow(same + "c"); len(got) != len(same)+1 {
		t.Errorf("got %d bytes", len(got))
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
