package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"
)

// ID returns what tells an engine with its data from any other, and from itself without its data: its own id, and which directory
// has the data. The id alone does not tell that. Before 23.0 it was in /etc/docker, and later versions take it from there to a
// new data directory, as they make one where a disk is not mounted today.
func ID(ctx context.Context, of Daemon) (string, error) {
	info, err := of.Info(ctx)
	if err != nil || info.ID == "" {
		return "", err
	}
	return info.ID + directoryID(info.DockerRootDir), nil
}

// directoryID tells a directory from others that are at its path at other times. It is empty where this process does not see it.
func directoryID(path string) string {
	var found unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &found); err != nil {
		return ""
	}
	if found.Mask&unix.STATX_BTIME == 0 {
		return fmt.Sprintf("@%d", found.Ino)
	}
	return fmt.Sprintf("@%d-%d.%09d", found.Ino, found.Btime.Sec, found.Btime.Nsec)
}

// Unknown returns what containers there are in the engine's data directory that the engine does not know of, by name and by id: it
// was started before the disk with them was mounted, and will know them when it is started again. It is empty where this process
// does not see the directory.
func Unknown(ctx context.Context, of Docker) (map[string]bool, error) {
	info, err := of.Info(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(info.DockerRootDir, "containers")
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	known, err := of.ContainerList(ctx, container.ListOptions{All: true}) // later than the directories
	if err != nil {
		return nil, err
	}
	unknown := map[string]bool{}
	for _, entry := range entries {
		unknown[entry.Name()] = true
	}
	for _, one := range known {
		delete(unknown, one.ID)
	}
	for _, entry := range entries {
		if unknown[entry.Name()] {
			unknown[nameIn(filepath.Join(dir, entry.Name(), "config.v2.json"))] = true
		}
	}
	return unknown, nil
}

// settingsLimit is more than what Docker writes of a container, in bytes.
const settingsLimit = 4 << 20

// nameIn returns a container's name in what Docker has written of it, empty where it cannot be read.
func nameIn(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	var of struct{ Name string }
	if err := json.NewDecoder(io.LimitReader(file, settingsLimit)).Decode(&of); err != nil {
		return ""
	}
	return strings.TrimPrefix(of.Name, "/")
}
