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

// readFiles returns what the service is configured with.
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

// writeFiles gives the service these files; an empty one goes. Those that are so already are not touched.
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

// writeFor writes a file that the group can read, but for those with the key of the CA, which no registry needs.
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

// writeUnit has systemd know the service by this text, or no more when it is empty.
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

// group is the one that the service runs as. It is of this machine alone, so that no directory service is asked.
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
