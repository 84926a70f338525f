package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const commandLine, cloudFake, engineFake = "github.com/urfave/cli", "ndock/openstack/fakecloud", "ndock/docker/fakeengine"

// forbidden is what a tree of packages may not import, outside its tests.
var forbidden = map[string][]string{
	".":         {commandLine, cloudFake, engineFake},
	"commands":  {cloudFake, engineFake},
	"openstack": {commandLine, cloudFake, "ndock/docker", "ndock/registry", "ndock/commands"},
	"docker":    {commandLine, engineFake, "ndock/openstack", "ndock/registry", "ndock/commands"},
	"registry":  {commandLine, "ndock/openstack", "ndock/docker", "ndock/commands"},
	"stall":     {"ndock", commandLine},
}

// TestImports keeps the packages apart: commands join openstack, docker and registry, which know nothing of each
// other; only commands know that there is a command line; and nothing that is shipped has a fake in it.
func TestImports(t *testing.T) {
	t.Parallel()
	for tree, imports := range imported(t) {
		for path, file := range imports {
			for _, prefix := range forbidden[tree] {
				if path == prefix || strings.HasPrefix(path, prefix+"/") {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}

// imported is what each tree imports, and a file that does.
func imported(t *testing.T) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		tree := strings.Split(filepath.Dir(path), string(filepath.Separator))[0]
		if all[tree] == nil {
			all[tree] = map[string]string{}
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[tree][imported] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for tree := range forbidden { // or the walk has missed what it is for
		if len(all[tree]) == 0 {
			t.Fatalf("no imports of %s were found", tree)
		}
	}
	return all
}
