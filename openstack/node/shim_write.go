package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"ndock/openstack/novadriver"
)

// Do writes __init__.py first: by it, what a power cut leaves behind is known as ours.
func (s *shim) Do(ctx context.Context) error {
	dir, write, stale, err := s.look(ctx)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(write, func(f novadriver.File) bool { return f.Name == initFile }); at > 0 {
		write[0], write[at] = write[at], write[0]
	}
	for _, f := range write {
		if err := s.did.write(filepath.Join(dir, f.Name), f.Content, 0o644); err != nil {
			return err
		}
	}
	for _, path := range stale {
		if err := s.did.remove(path); err != nil {
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
	if !begins(filepath.Join(dir, initFile), marker) {
		return nil, nil // none, or another's
	}
	s.undone = true
	if err := removeAll(dir); err != nil {
		return nil, fileError("remove", dir, err)
	}
	return []string{"removed " + dir}, nil
}

// Rollback has the files of before back.
func (s *shim) Rollback(ctx context.Context) ([]string, error) {
	if !s.did.any() {
		return nil, nil
	}
	s.undone = true
	dir, err := s.dir(ctx)
	if err != nil {
		return nil, err
	}
	return []string{"took back what was written to " + dir}, errors.Join(dropCache(dir), s.did.takeBack())
}

// dropCache removes what Python has compiled: nova-compute may not replace it, and a directory has to be empty to go.
func dropCache(dir string) error {
	cache := filepath.Join(dir, "__pycache__")
	if err := removeAll(cache); err != nil {
		return fileError("remove", cache, err)
	}
	return nil
}

func (s *shim) Detail(ctx context.Context) string {
	dir, err := s.dir(ctx)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("the driver of this release is in %s", dir)
}

// paths are the files that nova-compute has read when it runs the driver, as the machine sees them.
func (s *shim) paths() ([]string, error) {
	files, err := novadriver.Files()
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(s.found, novadriver.Name, f.Name)
		if s.Layout.Kolla {
			paths[i] = filepath.Join(kollaShim, f.Name)
		}
	}
	return paths, nil
}
