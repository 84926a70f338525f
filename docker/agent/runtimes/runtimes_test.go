package runtimes

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ndock/docker/agent/config"
	"ndock/docker/ociruntime"
	"ndock/docker/ociruntime/programtest"
)

// program writes one that says this of itself.
func program(t *testing.T, name, version string) string {
	t.Helper()
	path := filepath.Join(programtest.Dir(t), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+version+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNamed(t *testing.T) {
	crun, runsc, other := program(t, "crun", "echo crun version 1.28"), program(t, "runsc", "echo runsc version 1"), program(t, "kata", "echo kata-runtime : 3")
	r := New(config.Config{Runtime: "crun", Runtimes: map[string]config.Runtime{
		"crun": {Path: crun}, "gvisor": {Path: runsc, Args: []string{"--platform=kvm"}}, "kata": {Path: other},
	}})
	for name, want := range map[string]ociruntime.Choice{
		"":       {Name: "crun", Path: crun},
		"crun":   {Name: "crun", Path: crun},
		"runc":   {Name: "runc"},
		"gvisor": {Name: "gvisor", Path: runsc, Args: []string{"--overlay2=none", "--file-access=shared", "--platform=kvm"}, Sandbox: true},
		"kata":   {Name: "kata", Path: other, Sandbox: true},
	} {
		if got, err := r.Named(name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
	}
	if _, err := r.Named("none"); err == nil || !strings.Contains(err.Error(), `no runtime "none": it has runc, crun, gvisor, kata`) {
		t.Errorf("got %v", err)
	}
	if names, lacks := r.Usable(); !slices.Equal(names, []string{"runc", "crun", "gvisor", "kata"}) || len(lacks) > 0 {
		t.Errorf("got %q, %q", names, lacks)
	}
}

// TestWhatCannotBeUsed is no runtime of the host's, and node status has a sentence on it.
func TestWhatCannotBeUsed(t *testing.T) {
	for says, spoil := range map[string]func(path string) error{
		"no such file":                          os.Remove,
		"can be written to by others than root": func(path string) error { return os.Chmod(path, 0o777) },
		"is not root's":                         func(path string) error { return os.Chown(path, 1, 1) },
		"is not executable":                     func(path string) error { return os.Chmod(path, 0o644) },
		"is no file":                            func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"others than root can change":           func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) },
		"this gVisor is of 20240729": func(path string) error {
			return os.WriteFile(path, []byte("#!/bin/sh\necho runsc version 0.0~20240729.0\n"), 0o755)
		},
		"--version does not answer":                   func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o755) },
		"--version does not answer within 5s: signal": func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755) },
	} {
		path := program(t, "crun", "echo crun version 1.28")
		r := New(config.Config{Runtime: "runc", Runtimes: map[string]config.Runtime{"crun": {Path: path}}})
		if _, err := r.Named("crun"); err != nil {
			t.Fatal(err)
		}
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		names, lacks := r.Usable()
		if !slices.Equal(names, []string{"runc"}) || len(lacks) != 1 || !strings.Contains(lacks[0], says) || !strings.HasPrefix(lacks[0], "the runtime crun cannot be used: ") {
			t.Errorf("%s: got %q, %q", says, names, lacks)
		}
	}
}

// TestALink is judged by where it leads, too.
func TestALink(t *testing.T) {
	target := program(t, "crun", "echo crun version 1.28")
	link := filepath.Join(programtest.Dir(t), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	r := New(config.Config{Runtime: "runc", Runtimes: map[string]config.Runtime{"crun": {Path: link}}})
	if _, err := r.Named("crun"); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(filepath.Dir(target), 0o777); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Named("crun"); err == nil {
		t.Errorf("got %+v", got)
	}
}
