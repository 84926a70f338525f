package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ndock/registry/internal/atomicfile"
)

// readFiles returns the files of the service's configuration.
func (s Systemd) readFiles() (files, error) {
	found := files{}
	dir := s.path(configPath)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, denied("read the registry's configuration", err)
	}
	for _, one := range entries {
		if !one.Type().IsRegular() || strings.HasPrefix(one.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, one.Name()))
		if err != nil {
			return nil, denied("read the registry's configuration", err)
		}
		if len(text) > 0 {
			found[one.Name()] = text
		}
	}
	return found, nil
}

// writeFiles writes these files; an empty one is removed. It does not touch those that have the content already.
func (s Systemd) writeFiles(these files) error {
	group, err := s.group()
	if err != nil {
		return fmt.Errorf("write the registry's configuration: %w", err)
	}
	dir := s.path(configPath)
	if err := makeDir(dir, group); err != nil {
		return denied("write the registry's configuration", err)
	}
	for _, name := range these.names() {
		if err := writeFor(filepath.Join(dir, name), these[name], group); err != nil {
			return denied("write the registry's configuration", err)
		}
	}
	return nil
}

func makeDir(dir string, group int) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return errors.Join(os.Chown(dir, -1, group), os.Chmod(dir, 0o750))
}

// writeFor writes a file that the group can read. Only root can read those with the CA's key, which no registry needs.
func writeFor(file string, content []byte, group int) error {
	mode := fs.FileMode(0o640)
	if hasAuthority(filepath.Base(file)) {
		group, mode = -1, 0o600
	}
	if len(content) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, content) {
		return errors.Join(os.Chown(file, -1, group), os.Chmod(file, mode))
	}
	return atomicfile.Write(file, content, atomicfile.Group(group, mode))
}

// writeUnit writes the unit; it removes the unit if the text is empty.
func (s Systemd) writeUnit(text []byte) error {
	file := s.path(unitPath)
	if len(text) > 0 {
		return denied("write unit "+unitName, atomicfile.Publish(file, text))
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return denied("remove unit "+unitName, err)
	}
	return nil
}

// group returns the id of the service's group, from this machine alone: no directory service is asked.
func (s Systemd) group() (int, error) {
	text, err := os.ReadFile(s.path("etc/group"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[0] == serviceName {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, fmt.Errorf("there is no group %q in /etc/group", serviceName)
}
