package record

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ndock/openstack/node/system"
)

func TestARecordThatOthersCanWriteIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories away")
	}
	store := Store(t.TempDir())
	if err := store.Amend(func(r *Record) { r.Files["/etc/docker/daemon.json"] = Original{Content: []byte("{}")} }); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(store.path(File)), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Read(); err == nil || !strings.Contains(err.Error(), "others than root may write to") {
		t.Errorf("got %v", err)
	}
}

// earlierHost is one that an earlier release has set up.
func earlierHost(t *testing.T) Store {
	t.Helper()
	store := Store(t.TempDir())
	for path, text := range map[string]string{earlierProgram: "/usr/local/bin/ndock\n", earlierEngine: "docker.io\n", earlierCompletions: directory + "  /man\nabc  /man/ndock.1\n", "/etc/daemon.json": "{}"} {
		path = store.path(path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func filesOf(t *testing.T, store Store) []string {
	t.Helper()
	names, err := filepath.Glob(store.path("/var/lib/ndock/*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = filepath.Base(name)
	}
	return names
}

// What a run of this release adds goes as it came, and what an earlier release recorded stays where it was.
func TestARollbackLeavesTheRecordOfAnEarlierRelease(t *testing.T) {
	store := earlierHost(t)
	var did system.Changes
	if err := errors.Join(store.Keep(&did, "/etc/daemon.json"), store.Claim(&did, []system.File{{Path: "/man/more.1"}})); err != nil {
		t.Fatal(err)
	}
	r, err := store.Read()
	if err != nil || r.Program != "/usr/local/bin/ndock" || r.Engine != "docker.io" || len(r.Completions) != 3 || len(r.Files) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := did.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := filesOf(t, store); !slices.Equal(got, []string{"completions", "engine", "setup"}) {
		t.Errorf("left %q", got)
	}
}

func TestWhatIsUndoneIsNotRecordedAnyMore(t *testing.T) {
	store := earlierHost(t)
	if err := store.Amend(func(r *Record) { r.Engine, r.Completions = "", nil }); err != nil {
		t.Fatal(err)
	}
	if got := filesOf(t, store); !slices.Equal(got, []string{"setup"}) {
		t.Errorf("left %q", got)
	}
	if err := store.Amend(func(r *Record) { r.Program = "" }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(store.path("/var/lib/ndock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}

// A record that could not be written leaves no directory behind.
func TestARecordThatCannotBeWritten(t *testing.T) {
	store := Store(t.TempDir())
	path := filepath.Dir(store.path(File))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("full", filepath.Dir(path), "tmpfs", 0, "nr_inodes=2,mode=0755"); err != nil {
		t.Skipf("mount a file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(filepath.Dir(path), 0) })
	if err := store.Amend(func(r *Record) { r.Engine = "docker.io" }); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// TestAConfigurationAloneIsRecorded, as on a machine where all else was there before.
func TestAConfigurationAloneIsRecorded(t *testing.T) {
	s := Store(t.TempDir())
	if err := s.Write(Record{Config: "0123"}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Read(); err != nil || r.Config != "0123" {
		t.Errorf("got %+v, %v", r, err)
	}
}
