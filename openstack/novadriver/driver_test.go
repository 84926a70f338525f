package novadriver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFilesAreTheDriver(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(files, func(f File) bool { return f.Name == "__init__.py" })
	if at < 0 || !bytes.Contains(files[at].Content, []byte("DockerDriver")) {
		t.Error("nova.virt.docker would have no DockerDriver")
	}
}

func TestInterpreter(t *testing.T) {
	for first, want := range map[string]string{
		"#! /usr/bin/python3\n":            "/usr/bin/python3",
		"#!/opt/nova/bin/python3.11 -sP\n": "/opt/nova/bin/python3.11",
		"#!/usr/bin/env python3\n":         "/usr/bin/env python3",
		"#!/usr/bin/python3":               "/usr/bin/python3",
		"#!/bin/sh\n":                      "",
		"\x7fELF":                          "",
		"":                                 "",
	} {
		script := filepath.Join(t.TempDir(), "nova-compute")
		if err := os.WriteFile(script, []byte(first), 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := Interpreter(script)
		if strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", first, got, err, want)
		}
	}
	if _, err := Interpreter(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no such file", err)
	}
}

func TestVirtDirectory(t *testing.T) {
	const dir = "/usr/lib/python3/dist-packages/nova/virt"
	for answer, want := range map[string]string{
		dir + "\n":                     dir,
		"a library's greeting\n" + dir: dir,
		"":                             "",
		"nonsense":                     "",
		strings.Repeat("/a", 1<<20) + "/nova/virt": "",
		"/usr/lib/\x1b[2J/nova/virt":               "",
	} {
		run := func(_ context.Context, command ...string) (string, error) {
			if command[0] != "/usr/bin/python3" {
				t.Errorf("ran %q", command)
			}
			return answer, nil
		}
		got, err := VirtDirectory(t.Context(), []string{"/usr/bin/python3"}, run)
		if got != want || (err == nil) != (want != "") || err != nil && len(err.Error()) > 1000 {
			t.Errorf("%.80q: got %.80q, %.200v", answer, got, err)
		}
	}
}

func TestTraitsAreTheDrivers(t *testing.T) {
	inventory, err := python.ReadFile("nova/virt/docker/inventory.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, trait := range Traits {
		if !bytes.Contains(inventory, []byte("'"+strings.TrimSuffix(trait, "*")+"'")) {
			t.Errorf("the driver does not give %s", trait)
		}
	}
	if n := bytes.Count(inventory, []byte("'CUSTOM_")); n != len(Traits) {
		t.Errorf("the driver gives %d traits, of which %d are known", n, len(Traits))
	}
}
