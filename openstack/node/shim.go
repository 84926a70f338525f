package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ndock/openstack/novadriver"
)

// marker is how the first line of the driver's __init__.py begins, whichever release wrote it.
const marker = "# ndock"

const initFile = "__init__.py"

// shim is the step that has the driver in Nova's own Python.
type shim struct {
	Machine
	did    changes // of this run
	undone bool
	found  string // nova.virt's directory
}

func (s *shim) Title() string { return "shim" }

// dir is where the driver's files are written: where Nova's Python finds them, or where Kolla takes them from.
func (s *shim) dir(ctx context.Context) (string, error) {
	if s.Layout.Kolla {
		return s.Layout.Path(kollaShim), nil
	}
	if s.found == "" {
		var err error
		if s.found, err = s.virtDirectory(ctx); err != nil {
			return "", err
		}
	}
	return s.Layout.Path(filepath.Join(s.found, novadriver.Name)), nil
}

// virtDirectory is where Nova's Python looks for drivers.
func (m Machine) virtDirectory(ctx context.Context) (string, error) {
	python := m.Layout.Python
	if python == nil {
		var err error
		if python, err = novadriver.Interpreter(m.Layout.Path(m.Layout.Program)); err != nil {
			return "", err
		}
	}
	if !m.Layout.Kolla { // there the container's user is nova already
		python = append(asUser(m.Layout.User), python...)
	}
	ctx, cancel := context.WithTimeout(ctx, pythonLimit)
	defer cancel()
	return novadriver.VirtDirectory(ctx, python, m.Commands.Run)
}

// pythonLimit is what Nova's Python may take to load Nova.
const pythonLimit = time.Minute

// asUser is what to put before a command for it to run as this user, and not as root: Nova's own Python, and what that
// loads, may be files that nova can write. Where there is no such user, nobody does.
func asUser(name string) []string {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, groups := "65534", "65534", "--clear-groups"
	if number, err := strconv.Atoi(name); err == nil && number != 0 {
		uid, gid = name, name
	}
	if found, err := user.Lookup(name); err == nil {
		uid, gid, groups = found.Uid, found.Gid, "--init-groups"
	}
	return []string{"setpriv", "--reuid=" + uid, "--regid=" + gid, groups, "--no-new-privs", "--reset-env", "--"}
}

// look compares the directory with the files of this release.
func (s *shim) look(ctx context.Context) (dir string, write []novadriver.File, stale []string, err error) {
	if dir, err = s.dir(ctx); err != nil {
		return dir, nil, nil, err
	}
	if err := ours(dir); err != nil {
		return dir, nil, nil, err
	}
	files, err := novadriver.Files()
	if err != nil {
		return dir, nil, nil, err
	}
	for _, f := range files {
		same, err := holds(filepath.Join(dir, f.Name), f.Content, 0o644)
		if err != nil {
			return dir, nil, nil, err
		}
		if !same {
			write = append(write, f)
		}
	}
	stale, err = strangers(dir, files)
	return dir, write, stale, err
}

// ours refuses a directory that somebody else has put there.
func ours(dir string) error {
	p, err := openParent(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fileError("read", dir, err)
	}
	p.close()
	entries, err := os.ReadDir(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fileError("read", dir, err)
	}
	if len(entries) > 0 && !begins(filepath.Join(dir, initFile), marker) {
		return advise(fmt.Errorf("%s is there already and is not ndock's", dir), "it may be another Docker driver: move it away, then run this again")
	}
	return nil
}

// strangers are modules that an earlier release had; Python would still find them.
func strangers(dir string, files []novadriver.File) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.py"))
	return slices.DeleteFunc(found, func(path string) bool {
		return slices.ContainsFunc(files, func(f novadriver.File) bool { return f.Name == filepath.Base(path) })
	}), err
}

func (s *shim) Plan(ctx context.Context) ([]string, error) {
	dir, write, stale, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	var plan []string
	if len(write) > 0 {
		names := make([]string, len(write))
		for i, f := range write {
			names[i] = f.Name
		}
		plan = append(plan, fmt.Sprintf("write %s to %s", strings.Join(names, ", "), dir))
	}
	for _, path := range stale {
		plan = append(plan, "remove "+path)
	}
	return plan, nil
}
