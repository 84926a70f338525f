package engine

import (
	"context"
	"fmt"

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
