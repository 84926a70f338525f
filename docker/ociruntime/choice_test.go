package ociruntime

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const containerID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestChoiceFor: each verb of a container comes to the program that was recorded for it, and what names none comes to runc.
func TestChoiceFor(t *testing.T) {
	dir := t.TempDir()
	chosen := Choice{Name: "gvisor", Path: "/usr/bin/runsc", Args: []string{"--debug"}, Sandbox: true}
	if err := chosen.Record(dir, containerID); err != nil {
		t.Fatal(err)
	}
	byDefault := Choice{Name: "runc"}
	for line, want := range map[string]Choice{
		"--root /r --log /l create --bundle /b/ID --pid-file /b/ID/init.pid ID": chosen,
		"--root /r start ID":                          chosen,
		"--root /r state ID":                          chosen,
		"--root /r kill --all ID 9":                   chosen,
		"--root /r kill ID 15":                        chosen,
		"--root /r delete --force ID":                 chosen,
		"--root /r exec --process /tmp/p --detach ID": chosen,
		"--root /r pause ID":                          chosen,
		"--root /r update --resources - ID":           chosen,
		"--root /r start " + strings.Repeat("0", 64):  byDefault,
		"--root /r/ID state other":                    byDefault,
		"--root /r start ../" + containerID:           byDefault,
		"--root /r start " + containerID[:63] + "A":   byDefault,
		"--version": byDefault,
		"features":  byDefault,
		"":          byDefault,
	} {
		got, err := choiceFor(dir, strings.Fields(strings.ReplaceAll(line, "ID", containerID)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", line, got, err)
		}
	}
	for range 2 { // the second time there is nothing
		if err := ForgetChoice(dir, containerID); err != nil {
			t.Error(err)
		}
	}
	if got, err := ChoiceOf(dir, containerID); err != nil || !reflect.DeepEqual(got, byDefault) {
		t.Errorf("of a container that is forgotten: got %+v, %v", got, err)
	}
}

// TestAChoiceThatCannotBeRead is not taken for runc.
func TestAChoiceThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, containerID)
	for name, make := range map[string]func() error{
		"empty":     func() error { return os.WriteFile(path, nil, 0o600) },
		"no JSON":   func() error { return os.WriteFile(path, []byte("runc"), 0o600) },
		"of others": func() error { return os.WriteFile(path, []byte(`["runc"]`), 0o600) },
		"a link":    func() error { return os.Symlink("/dev/null", path) },
		"no file":   func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if got, err := choiceFor(dir, []string{"start", containerID}); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
