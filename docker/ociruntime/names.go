package ociruntime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names is where the running containers of servers have their own /etc/hosts, /etc/resolv.conf and /etc/hostname, in a
// directory for each, by its id. It is a file system in memory of its own, so that a server may write to them as it likes
// and fills nothing but that; what it writes counts as its memory. It is made at each start and goes when the container
// has ended.
const Names = "/run/ndock/names"

// The most that a server's copies may have: bytes of all together, and of one as it is at the start.
const (
	namesSize = 1 << 20
	namesRead = 64 << 10
)

// holdNames makes the copies. A container that is not a server's has none.
func holdNames(dir string, container edited) error {
	if len(container.names) == 0 {
		return nil
	}
	if err := ReleaseNames(dir); err != nil { // of the last run, if nobody did
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

// copyName copies what Docker or the agent wrote. A server that an earlier release started may have written to it too.
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

// ReleaseNames removes a container's copies, which it has as long as it runs. What is not there is fine.
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
