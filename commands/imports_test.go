package commands_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const commandLine, cloudFake, engineFake = "github.com/urfave/cli", "ndock/openstack/fakecloud", "ndock/docker/engine/enginetest"

// leaf is the one package that docker, openstack and registry share. It imports nothing of ndock, see TestLeaf.
const leaf = "ndock/docker/transfer"

// forbidden is what a tree of packages may not import, outside its tests: nothing but the leaf.
var forbidden = map[string][]string{
	".":         {commandLine, cloudFake, engineFake},
	"commands":  {cloudFake, engineFake},
	"openstack": {commandLine, cloudFake, "ndock/docker", "ndock/registry", "ndock/commands"},
	"docker":    {commandLine, "ndock/openstack", "ndock/registry", "ndock/commands"},
	"registry":  {commandLine, "ndock/openstack", "ndock/docker", "ndock/commands"},
}

// directions is which other packages of its own tree a package may import, outside its tests. Packages that are missing
// here may import none.
var directions = map[string][]string{
	"openstack":              {"openstack/clouds", "openstack/serial", "openstack/similar", "openstack/transport"},
	"openstack/serial":       {"openstack/transport"},
	"openstack/doctor":       {"openstack", "openstack/clouds"},
	"openstack/horizon":      {"openstack"},
	"openstack/node":         {"openstack/node/system"},
	"openstack/node/dockerd": {"openstack/node/jsonedit"},
	"openstack/node/layout":  {"openstack/node/system", "openstack/oslo"},
	"openstack/node/novalog": {"openstack/node/system"},
	"openstack/node/record":  {"openstack/node/system"},
	"openstack/node/steps": {
		"openstack", "openstack/horizon", "openstack/node", "openstack/node/dockerd", "openstack/node/jsonedit", "openstack/node/layout", "openstack/node/novalog",
		"openstack/node/record", "openstack/node/system", "openstack/novadriver", "openstack/oslo",
	},
	"registry/auth/htpasswd":     {"registry", "registry/auth", "registry/internal/atomicfile"},
	"registry/auth/keystone":     {"registry/auth"},
	"registry/config":            {"registry", "registry/auth/keystone", "registry/glance"},
	"registry/glance":            {"registry/auth", "registry/auth/keystone", "registry/internal/turns", "registry/refusal"},
	"registry/control":           {"registry", "registry/gc"},
	"registry/storage":           {"registry", "registry/config", "registry/gc", "registry/refusal"},
	"registry/internal/rollback": {"registry"},
	"docker/agent/console":       {"docker/agent", "docker/engine"},
	"docker/agent/hostinfo": {
		"docker", "docker/agent", "docker/agent/diskspace", "docker/agent/naming", "docker/archive", "docker/engine", "docker/network",
	},
	"docker/agent/imagecache": {
		"docker", "docker/agent", "docker/agent/config", "docker/agent/diskspace", "docker/agent/keylock", "docker/agent/limits",
		"docker/agent/naming", "docker/archive", "docker/engine",
	},
	"docker/agent/instance": {
		"docker", "docker/agent", "docker/agent/config", "docker/agent/devices", "docker/agent/diskspace", "docker/agent/hostinfo", "docker/agent/keylock",
		"docker/agent/limits", "docker/agent/naming", "docker/agent/process", "docker/agent/runtimes", "docker/archive", "docker/engine",
		"docker/engine/layerfiles", "docker/engine/rootfs", "docker/network", "docker/ociruntime",
	},
	"docker/agent/diskspace": {"docker/agent", "docker/archive", "docker/engine"},
	"docker/agent/devices":   {"docker/agent", "docker/durable", "docker/ociruntime"},
	"docker/agent/limits":    {"docker/agent", "docker/agent/config"},
	"docker/agent/metrics": {
		"docker/agent", "docker/agent/imagecache", "docker/agent/instance", "docker/agent/naming", "docker/engine", "docker/transfer",
	},
	"docker/agent/process":  {"docker/agent"},
	"docker/agent/runtimes": {"docker/agent/config", "docker/ociruntime"},
	"docker/agent/server": {
		"docker/agent", "docker/agent/config", "docker/agent/console", "docker/agent/devices", "docker/agent/diskspace", "docker/agent/hostinfo",
		"docker/agent/imagecache", "docker/agent/instance", "docker/agent/metrics", "docker/agent/naming", "docker/agent/runtimes", "docker/archive", "docker/engine", "docker/network",
	},
	"docker/engine":                   {"docker/ociruntime"},
	"docker/engine/layerfiles":        {"docker/engine"},
	"docker":                          {"docker/transfer"},
	"docker/image":                    {"docker", "docker/archive", "docker/transfer"},
	"docker/network":                  {"docker/agent", "docker/durable"},
	"docker/ociruntime":               {"docker/durable", "docker/network"},
	"docker/ociruntime/ndock-runtime": {"docker/ociruntime"},
	"registry/trust":                  {"registry", "registry/config", "registry/internal/atomicfile", "registry/internal/rollback", "registry/pki"},
	"registry/serve": {
		"registry", "registry/auth", "registry/auth/htpasswd", "registry/auth/keystone", "registry/config", "registry/control",
		"registry/gc", "registry/glance", "registry/internal/turns", "registry/pki", "registry/refusal", "registry/storage",
	},
	"registry/deploy": {
		"registry", "registry/auth/htpasswd", "registry/auth/keystone", "registry/config", "registry/control",
		"registry/internal/atomicfile", "registry/internal/rollback", "registry/pki", "registry/trust",
	},
}

// directed are the trees whose packages import each other in directions only.
var directed = []string{"docker", "openstack", "registry"}

// helpers are packages for tests, which nothing that is shipped imports.
var helpers = []string{
	"ndock/docker/agent/agenttest", "ndock/docker/network/networktest", "ndock/docker/ociruntime/programtest",
	"ndock/openstack/internal/openstacktest", "ndock/docker/engine/enginetest", "ndock/openstack/clouds/cloudstest",
	"ndock/openstack/node/layout/layouttest",
	"ndock/registry/gc/gctest", "ndock/registry/glance/glancetest", "ndock/registry/internal/pkitest", "ndock/registry/internal/registrytest",
}

// TestDirections keeps the packages of a tree in one direction.
func TestDirections(t *testing.T) {
	t.Parallel()
	byPackage := imported(t, filepath.Dir)
	for dir, imports := range byPackage {
		tree, _, _ := strings.Cut(filepath.ToSlash(dir), "/")
		for path, file := range imports {
			if slices.Contains(helpers, path) && !slices.Contains(helpers, "ndock/"+filepath.ToSlash(dir)) {
				t.Errorf("%s imports %s, which is for tests", file, path)
			}
			other, ours := strings.CutPrefix(path, "ndock/")
			if !ours || !slices.Contains(directed, tree) || strings.Split(other, "/")[0] != tree || slices.Contains(helpers, "ndock/"+filepath.ToSlash(dir)) {
				continue
			}
			if !slices.Contains(directions[filepath.ToSlash(dir)], other) {
				t.Errorf("%s imports %s, which is not one of its directions", file, path)
			}
		}
	}
	for dir := range directions {
		if len(byPackage[filepath.FromSlash(dir)]) == 0 {
			t.Errorf("there is no package %s", dir)
		}
	}
}

// TestImports keeps the packages apart: commands join openstack, docker and registry, which know nothing of each
// other; only commands know that there is a command line; and nothing that is shipped has a fake in it.
func TestImports(t *testing.T) {
	t.Parallel()
	all := imported(t, treeOf)
	for tree := range forbidden { // or the walk has missed what it is for
		if len(all[tree]) == 0 {
			t.Fatalf("no imports of %s were found", tree)
		}
	}
	for tree, imports := range all {
		for path, file := range imports {
			for _, prefix := range forbidden[tree] {
				if path != leaf && (path == prefix || strings.HasPrefix(path, prefix+"/")) {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}

// TestLeaf keeps the package that all trees share from importing any of theirs.
func TestLeaf(t *testing.T) {
	t.Parallel()
	imports := imported(t, filepath.Dir)[filepath.FromSlash(strings.TrimPrefix(leaf, "ndock/"))]
	if len(imports) == 0 {
		t.Fatalf("there is no package %s", leaf)
	}
	for path, file := range imports {
		if strings.HasPrefix(path, "ndock/") || strings.HasPrefix(path, commandLine) {
			t.Errorf("%s imports %s", file, path)
		}
	}
}

// treeOf is the directory at the root that a file is in.
func treeOf(file string) string {
	return strings.Split(filepath.Dir(file), string(filepath.Separator))[0]
}

// imported is what the files of each group import, and a file that does.
func imported(t *testing.T, group func(file string) string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	root := projectRoot(t)
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		in := group(path)
		if all[in] == nil {
			all[in] = map[string]string{}
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[in][imported] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
