package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// directories has a directory for each server, of what Docker cannot keep: its ports, its config drive, the names it knows,
// what its console tells beside its output, and marks of the agent's.
type directories struct{ root string }

// of is a server's directory.
func (d directories) of(uuid string) string { return filepath.Join(d.root, uuid) }

func (d directories) remove(uuid string) error { return os.RemoveAll(d.of(uuid)) }

// touch has a server count as one that is being made: its container goes, and another will come.
func (d directories) touch(uuid string) error {
	now := time.Now()
	if err := os.Chtimes(d.of(uuid), now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// engineFile says which engine, with which data, has made a server's container: where the data is not mounted, or another today,
// no container is there, and none is lost.
const engineFile = "engine"

// recordEngine writes it, and returns the engine's id.
func (d directories) recordEngine(ctx context.Context, uuid string, docker engine.Daemon) (id string, err error) {
	id, err = engine.ID(ctx, docker)
	if err != nil {
		return "", err
	}
	return id, os.WriteFile(filepath.Join(d.of(uuid), engineFile), []byte(id), 0o600)
}

// madeOn tells whether a server's container, if it ever had one, was made by this engine.
func (d directories) madeOn(uuid, engine string) bool {
	id, err := os.ReadFile(filepath.Join(d.of(uuid), engineFile))
	return errors.Is(err, os.ErrNotExist) || err == nil && string(id) == engine
}

// noticeFile has what the console log tells of a server beside its output.
const noticeFile = "notice"

func (d directories) notice(uuid string) string { return filepath.Join(d.of(uuid), noticeFile) }

// configDrivePaths are where a container finds its config drive: where Nova's guide for users mounts that of a
// virtual machine, and where cloud-init looks for one that is a directory.
var configDrivePaths = []string{"/mnt/config", "/var/lib/cloud/seed/config_drive"}

// configDrive returns the directory for the config drive of a container that is to be made. The server's backup, if it has
// one, keeps its own: it may be restored.
func (d directories) configDrive(uuid string, backup container.InspectResponse) string {
	dir := filepath.Join(d.of(uuid), "config-drive")
	if backup.ContainerJSONBase != nil && backup.HostConfig != nil && slices.ContainsFunc(backup.HostConfig.Mounts, func(m mount.Mount) bool { return m.Source == dir }) {
		return dir + "-2"
	}
	return dir
}

// writeConfigDrive writes the files anew and returns the mounts by which the container sees them, read-only.
func (d directories) writeConfigDrive(uuid string, files map[string][]byte, backup container.InspectResponse) ([]mount.Mount, error) {
	if len(files) == 0 {
		return nil, nil
	}
	if err := checkConfigDrive(files); err != nil {
		return nil, err
	}
	dir := d.configDrive(uuid, backup)
	if err := d.fillConfigDrive(uuid, dir, files); err != nil {
		return nil, fmt.Errorf("write the config drive: %w", err)
	}
	var mounts []mount.Mount
	for _, target := range configDrivePaths {
		// Docker says rro to the runtime for what is to be read-only with all that is mounted below, since 25.0. gVisor does not know
		// that word, and has the mount writable. Nothing is mounted below.
		only := &mount.BindOptions{ReadOnlyNonRecursive: true}
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: dir, Target: target, ReadOnly: true, BindOptions: only})
	}
	return mounts, nil
}

// labelConfigDrive gives the files of a config drive the label that SELinux knows the container's own files by: it lets the
// container read no others. Docker has none where SELinux does not confine containers.
func labelConfigDrive(drive, label string) error {
	if label == "" {
		return nil
	}
	return filepath.WalkDir(drive, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = unix.Lsetxattr(path, "security.selinux", []byte(label), 0)
		}
		if err != nil {
			return fmt.Errorf("label %s for SELinux: %w", path, err)
		}
		return nil
	})
}

// The most files and directories of a config drive, the longest name of a file, in bytes, and the most directories that lead to
// one. Nova has some dozens of files, whose names have 40 bytes, two directories deep.
const (
	configDriveFiles       = 4096
	configDriveDirectories = 1024
	configDriveName        = 255
	configDriveDepth       = 7
)

// checkConfigDrive refuses files that would use up the host's inodes, and directories so deep that they could not be removed.
func checkConfigDrive(files map[string][]byte) error {
	if len(files) > configDriveFiles {
		return agent.Faultf(agent.BadRequest, "%d files are too many for a config drive: it has %d at most", len(files), configDriveFiles)
	}
	directories := map[string]bool{}
	for name := range files {
		if err := checkConfigDriveName(name); err != nil {
			return err
		}
		for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	if len(directories) > configDriveDirectories {
		return agent.Faultf(agent.BadRequest, "%d directories are too many for a config drive: it has %d at most", len(directories), configDriveDirectories)
	}
	return nil
}

func checkConfigDriveName(name string) error {
	if len(name) > configDriveName {
		return agent.Faultf(agent.BadRequest, "%.40q… is no name of a file of a config drive: it has %d bytes, and may have %d", name, len(name), configDriveName)
	}
	if depth := strings.Count(path.Clean(name), "/"); depth > configDriveDepth {
		return agent.Faultf(agent.BadRequest, "%.40q… is no name of a file of a config drive: it has %d directories, and may have %d", name, depth, configDriveDepth)
	}
	return nil
}

func (d directories) fillConfigDrive(uuid, dir string, files map[string][]byte) error {
	// Passwords may be in it: on the host it is for root alone, in the container for everyone.
	if err := os.MkdirAll(d.of(uuid), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // nothing is written outside, whatever the paths are
	if err != nil {
		return err
	}
	defer root.Close()
	for name, content := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
