package htpasswd

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"ndock/registry/auth"
	"ndock/registry/internal/registrytest"
)

func TestSourceReadsAgain(t *testing.T) {
	file := registrytest.Write(t, login(t, "bob", "1").Line())
	s, err := NewSource(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	letsIn := func(user, password string, want error) {
		t.Helper()
		who, err := s.Check(t.Context(), user, password)
		if !errors.Is(err, want) || err == nil && who.Name() != user {
			t.Errorf("%s: %v, %v", user, who, err)
		}
	}
	letsIn("bob", "1", nil)
	letsIn("bob", "2", auth.ErrWrong)
	letsIn("al", "2", auth.ErrWrong)
	letsIn("", "1", auth.ErrWrong)
	first := s.Generation()
	if s.Generation() != first {
		t.Error("a file that nobody touched has changed")
	}
	// As long as the other, and with the same time, as Docker writes it.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, file, login(t, "bob", "3"))
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	second := s.Generation()
	if second == first {
		t.Error("the change was not seen")
	}
	letsIn("bob", "1", auth.ErrWrong)
	letsIn("bob", "3", nil)
	// What cannot be used changes nothing.
	for _, text := range []string{"", "half a li", "bob:plain\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.Generation() != second {
			t.Errorf("%q is a generation of its own", text)
		}
		letsIn("bob", "3", nil)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.Generation()
	letsIn("bob", "3", nil)
	replace(t, file, login(t, "al", "2"))
	s.Generation()
	letsIn("bob", "3", auth.ErrWrong)
	letsIn("al", "2", nil)
}

func replace(t *testing.T, file string, l Login) {
	t.Helper()
	if err := os.WriteFile(file, l.Line(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestControllerRefuses(t *testing.T) {
	for want, parameters := range map[string]map[string]any{
		"path is missing": {},
		"no such file":    {"path": "missing"},
		"there are none":  {"path": registrytest.Write(t, nil)},
	} {
		if _, err := Controller(parameters); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", parameters, err, want)
		}
	}
}
