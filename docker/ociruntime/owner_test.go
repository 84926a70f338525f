package ociruntime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ndock/docker/ociruntime/programtest"
)

// TestCheckProgram: what someone else can change on any way to a program is found, wherever links lead.
func TestCheckProgram(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		spoil func(dir string) error
		says  string
	}{
		"nothing":                        {"bin/runsc", nil, ""},
		"a chain of links":               {"first", nil, ""},
		"a link to a directory":          {"etc/runsc", nil, ""},
		"links that go up":               {"up/runsc", nil, ""},
		"a program of another's":         {"first", func(dir string) error { return os.Chown(dir+"/bin/runsc", 1, 1) }, "bin/runsc is not root's"},
		"one that others write":          {"first", func(dir string) error { return os.Chmod(dir+"/bin/runsc", 0o757) }, "can be written to by others than root"},
		"one that is not executable":     {"first", func(dir string) error { return os.Chmod(dir+"/bin/runsc", 0o644) }, "is not executable"},
		"no file":                        {"bin", nil, "is no file"},
		"a file in the place of a dir":   {"bin/runsc/x", nil, "is no directory"},
		"nothing there":                  {"bin/none", nil, "no such file"},
		"the directory":                  {"bin/runsc", func(dir string) error { return os.Chmod(dir+"/bin", 0o757) }, "others than root can change"},
		"of a group":                     {"bin/runsc", func(dir string) error { return os.Chmod(dir+"/bin", 0o775) }, "others than root can change"},
		"a sticky one":                   {"bin/runsc", func(dir string) error { return os.Chmod(dir+"/bin", 0o777|os.ModeSticky) }, "others than root can bring files to"},
		"of another's":                   {"bin/runsc", func(dir string) error { return os.Chown(dir+"/bin", 1, 1) }, "others than root can change"},
		"of the first link":              {"first", func(dir string) error { return os.Chmod(dir, 0o757) }, "others than root can change"},
		"of the second link":             {"first", func(dir string) error { return os.Chmod(dir+"/middle", 0o757) }, "/middle, which"},
		"that a linked directory is in":  {"etc/runsc", func(dir string) error { return os.Chmod(dir+"/middle", 0o757) }, "/middle, which"},
		"that is gone up from":           {"up/runsc", func(dir string) error { return os.Chmod(dir+"/middle/deep", 0o757) }, "/middle/deep, which"},
		"links that go in a circle":      {"circle", nil, "more than 40 links"},
		"a link to where others write":   {"tmp", nil, "others than root can bring files to /tmp"},
		"a program of the second link's": {"first", func(dir string) error { return os.Remove(dir + "/middle/second") }, "no such file"},
	} {
		dir := programtest.Dir(t)
		err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(dir+"/middle/deep", 0o755), os.MkdirAll(dir+"/bin", 0o755),
			os.WriteFile(dir+"/bin/runsc", nil, 0o755),
			os.Symlink("middle/second", dir+"/first"), os.Symlink(dir+"/bin/runsc", dir+"/middle/second"),
			os.Symlink("middle/etc", dir+"/etc"), os.Symlink("../bin", dir+"/middle/etc"),
			os.Symlink("middle/deep/../../bin", dir+"/up"), os.Symlink("circle", dir+"/circle"),
			os.Symlink("/tmp/ndock-no-such-program", dir+"/tmp"))
		if err == nil && c.spoil != nil {
			err = c.spoil(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		err = CheckProgram(filepath.Join(dir, c.path))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestAProgramThatBecameAnothers is not run, although it is what is recorded; what it runs ends all the same.
func TestAProgramThatBecameAnothers(t *testing.T) {
	s := newStubborn(t, `touch "$0.ran"; exit 0`, "docker/ID")
	if err := os.Chown(s.choice.Path, 1, 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb   string
		status int
	}{{"state ID", 1}, {"kill ID 9", 0}, {"delete ID", 0}} {
		if status, said := s.attempt(c.verb, time.Minute); status != c.status || status != 0 && !strings.Contains(said, "is not root's") {
			t.Errorf("%s: got %d, %s", c.verb, status, said)
		}
	}
	if err := s.choice.become([]string{"exec", containerID}); err == nil || !strings.Contains(err.Error(), "is not root's") {
		t.Errorf("exec: got %v", err)
	}
	if _, err := os.Stat(s.choice.Path + ".ran"); err == nil {
		t.Error("it was run")
	}
}
