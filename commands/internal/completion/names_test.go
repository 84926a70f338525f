package completion

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var cloud = []string{"OS_CLOUD=demo"}

// lists is a cloud that has these names, and counts how often it is asked.
type lists struct {
	names []string
	err   error
	asked int
}

func (l *lists) refresh(_, file string) (<-chan struct{}, error) {
	l.asked++
	done := make(chan struct{})
	defer close(done)
	return done, Write(file, func() ([]string, error) { return l.names, l.err })
}

func TestNames(t *testing.T) {
	t.Parallel()
	asked := &lists{names: []string{"web", "db", "web"}}
	names := Names{Dir: filepath.Join(t.TempDir(), "ndock"), Wait: time.Minute, Refresh: asked.refresh}
	for range 2 {
		if got := names.Of("servers", cloud); !slices.Equal(got, []string{"db", "web"}) || asked.asked != 1 {
			t.Fatalf("%q, and the cloud was asked %d times", got, asked.asked)
		}
	}
	if names.Of("servers", []string{"OS_CLOUD=other"}); asked.asked != 2 {
		t.Error("another cloud's names are offered")
	}
	if names.Of("images", cloud); asked.asked != 3 {
		t.Error("names of another kind are offered")
	}
	info, err := os.Stat(names.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v (%v)", info.Mode(), err)
	}
}

// TestNamesAge: what is not fresh is asked for again, and offered for some time if nobody answers.
func TestNamesAge(t *testing.T) {
	t.Parallel()
	asked := &lists{names: []string{"web"}}
	names := Names{Dir: t.TempDir(), Wait: time.Minute, Refresh: asked.refresh}
	names.Of("servers", cloud)
	file, err := filepath.Glob(names.Dir + "/servers-*[0-9a-f]")
	if err != nil || len(file) != 1 {
		t.Fatalf("the files are %q (%v)", file, err)
	}
	asked.err = errors.New("it is away")
	for age, want := range map[time.Duration]int{fresh + time.Second: 1, stale - time.Minute: 1, stale + time.Minute: 0} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(file[0], at, at); err != nil {
			t.Fatal(err)
		}
		passPause(t, names.Dir)
		before := asked.asked
		if got := names.Of("servers", cloud); len(got) != want || asked.asked != before+1 {
			t.Errorf("after %s %q are offered, and the cloud was asked %d times", age, got, asked.asked-before)
		}
	}
	at := time.Now().Add(-forgotten - time.Minute)
	if err := os.Chtimes(file[0], at, at); err != nil {
		t.Fatal(err)
	}
	asked.err = nil
	passPause(t, names.Dir)
	names.Of("images", cloud)
	if _, err := os.Stat(file[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an old file is still there (%v)", err)
	}
}

// passPause makes failures as old as they must be for another try.
func passPause(t *testing.T, dir string) {
	t.Helper()
	failures, err := filepath.Glob(dir + "/failed-*")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-pause - time.Second)
	for _, one := range failures {
		if err := os.Chtimes(one, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNamesAfterAFailure: a press of the key may be a login, and some that fail lock the user out. So no kind is asked for, but
// in another cloud.
func TestNamesAfterAFailure(t *testing.T) {
	t.Parallel()
	asked := &lists{names: []string{"web"}, err: errors.New("the password is wrong")}
	names := Names{Dir: filepath.Join(t.TempDir(), "ndock"), Wait: time.Minute, Refresh: asked.refresh}
	for range 3 {
		names.Of("servers", cloud)
		names.Of("images", cloud)
	}
	if asked.asked != 1 {
		t.Errorf("the cloud was asked %d times", asked.asked)
	}
	file := filepath.Join(names.Dir, "images-"+digest(cloud)) // of one who did not know yet
	if err := Write(file, func() ([]string, error) { return nil, errors.New("it was asked") }); err != nil {
		t.Error(err)
	}
	asked.err = nil
	if got := names.Of("servers", []string{"OS_CLOUD=other"}); !slices.Equal(got, []string{"web"}) {
		t.Errorf("%q are offered of another cloud", got)
	}
	passPause(t, names.Dir)
	if got := names.Of("servers", cloud); !slices.Equal(got, []string{"web"}) {
		t.Errorf("later %q are offered", got)
	}
}

// TestNamesWait: a cloud that does not answer keeps nobody waiting.
func TestNamesWait(t *testing.T) {
	t.Parallel()
	names := Names{Dir: t.TempDir(), Wait: time.Millisecond, Refresh: func(string, string) (<-chan struct{}, error) { return make(chan struct{}), nil }}
	if got := names.Of("servers", cloud); got != nil {
		t.Errorf("%q are offered", got)
	}
	names.Refresh = func(string, string) (<-chan struct{}, error) { return nil, errors.New("no process can be made") }
	if got := names.Of("servers", cloud); got != nil {
		t.Errorf("%q are offered", got)
	}
}

// TestHostileNames: a name that a shell could take for something else is not offered, whoever wrote the file, and not too many.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	hostile := []string{"good", "$(reboot)", "`id`", "a b", "--help", "-rf", "a;b", "a'b", `a"b`, "a\\b", "a\x1bb", "a\nb", "größe", "", "a*", "~root", "!x", strings.Repeat("x", 300)}
	asked := &lists{names: hostile}
	names := Names{Dir: t.TempDir(), Wait: time.Minute, Refresh: asked.refresh}
	if got := names.Of("servers", cloud); !slices.Equal(got, []string{"good"}) {
		t.Errorf("%q are offered", got)
	}
	file, _ := filepath.Glob(names.Dir + "/servers-*[0-9a-f]")
	if err := os.WriteFile(file[0], []byte(strings.Join(hostile, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := names.Of("servers", cloud); !slices.Equal(got, []string{"good", "b"}) && !slices.Equal(got, []string{"good"}) {
		t.Errorf("%q are offered of what others wrote", got)
	}
	asked.names = nil
	for i := range 5 * mostNames {
		asked.names = append(asked.names, fmt.Sprintf("server-%d", i))
	}
	if got := names.Of("images", cloud); len(got) != mostNames {
		t.Errorf("%d are offered", len(got))
	}
}

// TestWriteOnce: while one process asks the cloud, another does not.
func TestWriteOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "servers-1")
	asked := 0
	err := Write(file, func() ([]string, error) {
		asked++
		return []string{"web"}, Write(file, func() ([]string, error) {
			asked++
			return nil, nil
		})
	})
	if got, _ := read(file); err != nil || asked != 1 || !slices.Equal(got, []string{"web"}) {
		t.Errorf("it was asked %d times, and has %q (%v)", asked, got, err)
	}
}
