package ociruntime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names is where running containers of servers have their own /etc/hosts, /etc/resolv.conf and /etc/hostname, in a directory
// for each, by the container's id. Each is a tmpfs, so that a server may write to them and can fill nothing else; what it
// writes counts as its memory. It is made at each start and removed when the container has ended.
const Names = "/run/ndock/names"

// The sizes of a server's copies, in bytes: of all together, and of one at the start.
const (
	namesSize = 1 << 20
	namesRead = 64 << 10
)

// createNames makes the copies. A container that is not a server's has none.
func createNames(dir string, container edited) error {
	if len(container.names) == 0 {
		return nil
	}
	if err := ReleaseNames(dir); err != nil { // of the last run, if its hook failed
		return err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=0711", namesSize, len(nameFiles)+2)
	if container.label != "" {
		options += fmt.Sprintf(",context=%q", container.label)
	}
	if err := unix.Mount("ndock", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return errors.Join(fmt.Errorf("mount a tmpfs at %s: %w", dir, err), os.Remove(dir))
	}
	for name, source := range container.names {
		if err := copyName(filepath.Join(dir, name), source, container.uid, container.gid); err != nil {
			return errors.Join(err, ReleaseNames(dir))
		}
	}
	return nil
}

// copyName copies a file that Docker or the agent wrote; with earlier releases the server could write to it too.
func copyName(to, from string, uid, gid int) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, namesRead))
	return errors.Join(err, out.Chown(uid, gid), out.Chmod(0o644), out.Close())
}

// ReleaseNames removes a container's copies. It is no error if there are none.
func ReleaseNames(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove a container's names: %w", err)
	}
	return nil
}
