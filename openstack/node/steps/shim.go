package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
)

// marker is how the driver's __init__.py begins in all releases.
const marker = "# ndock"

const initFile = "__init__.py"

// shim is the step that installs the driver in Nova's own Python.
type shim struct {
	Machine
	did    system.Changes // of this run
	undone bool           // the driver of before, or none, is back
	found  string         // the directory of nova.virt
}

func (s *shim) Title() string { return "shim" }

// dir returns where the driver's files are written: where Nova's Python finds them, or where Kolla copies them from.
func (s *shim) dir(ctx context.Context) (string, error) {
	if s.Layout.Kolla {
		return s.Layout.Path(layout.KollaShim), nil
	}
	if s.found == "" {
		found, err := s.virtDirectory(ctx)
		if err != nil {
			return "", err
		}
		if err := s.checkPackage(found); err != nil {
			return "", err
		}
		s.found = found
	}
	return s.Layout.Path(filepath.Join(s.found, novadriver.Name)), nil
}

// checkPackage returns an error where there is no package: the answer may be nova's own word, and no directory is made by it but
// that of the driver.
func (s *shim) checkPackage(dir string) error {
	path := s.Layout.Path(filepath.Join(dir, initFile))
	if _, err := system.ReadFile(path); err != nil {
		return fmt.Errorf("find nova.virt: %w", system.FileError("read", path, err))
	}
	return nil
}

// virtDirectory returns where Nova's Python looks for drivers.
func (m Machine) virtDirectory(ctx context.Context) (string, error) {
	python, err := m.python()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, pythonLimit)
	defer cancel()
	return novadriver.VirtDirectory(ctx, python, m.Commands.Run)
}

// python returns the command that Nova's Python is asked by, as the user whom nova-compute runs as.
func (m Machine) python() ([]string, error) {
	python := m.Layout.Python
	if python == nil {
		var err error
		if python, err = novadriver.Interpreter(m.Layout.Path(m.Layout.Program)); err != nil {
			return nil, err
		}
	}
	if m.Layout.Kolla { // in its container it runs as nova
		return python, nil
	}
	return append(system.AsUser(m.Layout.User), python...), nil
}

// pythonLimit is how long Nova's Python may take to load Nova.
const pythonLimit = time.Minute

// compare returns which files of this release are to be written, and which of an earlier one are to be removed.
func (s *shim) compare(ctx context.Context) (dir string, write []novadriver.File, stale []string, err error) {
	if dir, err = s.dir(ctx); err != nil {
		return dir, nil, nil, err
	}
	if err := checkOwner(dir); err != nil {
		return dir, nil, nil, err
	}
	files, err := novadriver.Files()
	if err != nil {
		return dir, nil, nil, err
	}
	for _, f := range files {
		same, err := system.Holds(filepath.Join(dir, f.Name), f.Content, 0o644)
		if err != nil {
			return dir, nil, nil, err
		}
		if !same {
			write = append(write, f)
		}
	}
	stale, err = staleFiles(dir, files)
	return dir, write, stale, err
}

// checkOwner returns an error where the directory is not ndock's.
func checkOwner(dir string) error {
	entries, err := system.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return system.FileError("read", dir, err)
	}
	if len(entries) > 0 && !system.BeginsWith(filepath.Join(dir, initFile), marker) {
		return system.Advise(fmt.Errorf("%s is there already and is not ndock's", dir), "it may be another Docker driver: move it away, then run this again")
	}
	return nil
}

// staleFiles returns modules of an earlier release, which Python would still find.
func staleFiles(dir string, files []novadriver.File) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.py"))
	return slices.DeleteFunc(found, func(path string) bool {
		return slices.ContainsFunc(files, func(f novadriver.File) bool { return f.Name == filepath.Base(path) })
	}), err
}

func (s *shim) Plan(ctx context.Context) ([]string, error) {
	dir, write, stale, err := s.compare(ctx)
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

// Do writes __init__.py first: what a power cut leaves is known by it as ndock's.
func (s *shim) Do(ctx context.Context) error {
	dir, write, stale, err := s.compare(ctx)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(write, func(f novadriver.File) bool { return f.Name == initFile }); at > 0 {
		write[0], write[at] = write[at], write[0]
	}
	for _, f := range write {
		if err := s.did.Write(filepath.Join(dir, f.Name), f.Content, 0o644); err != nil {
			return err
		}
	}
	for _, path := range stale {
		if err := s.did.Remove(path); err != nil {
			return err
		}
	}
	return dropCache(dir)
}

// Teardown removes the driver.
func (s *shim) Teardown(ctx context.Context) ([]string, error) {
	dir, err := s.dir(ctx)
	if err != nil {
		return nil, err
	}
	if !system.BeginsWith(filepath.Join(dir, initFile), marker) { // there is none, or it is another's
		system.RemoveEmpty(dir) // of a setup that was killed
		return nil, nil
	}
	s.undone = true
	if err := system.RemoveAll(dir); err != nil {
		return nil, system.FileError("remove", dir, err)
	}
	return []string{"removed " + dir}, nil
}

// Rollback restores the files of before.
func (s *shim) Rollback(ctx context.Context) ([]string, error) {
	if !s.did.Any() {
		return nil, nil
	}
	s.undone = true
	dir, err := s.dir(ctx)
	if err != nil {
		return nil, err
	}
	return []string{"took back what was written to " + dir}, errors.Join(dropCache(dir), s.did.Rollback())
}

// dropCache removes what Python has compiled: nova-compute may not write there, and only an empty directory can be removed.
func dropCache(dir string) error {
	cache := filepath.Join(dir, "__pycache__")
	if err := system.RemoveAll(cache); err != nil {
		return system.FileError("remove", cache, err)
	}
	return nil
}

func (s *shim) Detail(ctx context.Context) (string, error) {
	dir, err := s.dir(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the driver of this release is in %s", dir), nil
}

// paths returns the files of the driver that nova-compute reads, or, with Kolla, that are copied for it.
func (s *shim) paths() ([]string, error) {
	files, err := novadriver.Files()
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(s.found, novadriver.Name, f.Name)
		if s.Layout.Kolla {
			paths[i] = filepath.Join(layout.KollaShim, f.Name)
		}
	}
	return paths, nil
}
