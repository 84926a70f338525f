package hostinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// DiskOf returns the disk on which a directory is, as the kernel throttles it: /dev/sda.
func DiskOf(dir string) (string, error) {
	mount, err := mountOf(dir)
	if err != nil {
		return "", err
	}
	device := mountedDevice(mount)
	return disk(sysfs, device.major, device.minor, fmt.Sprintf("%s is on %s", dir, mount.FSType))
}

// mountOf returns the mount that a directory is on: the nearest above it, and of several there the latest.
func mountOf(dir string) (*mountinfo.Info, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil {
		return nil, err
	}
	return nearest(dir, mounts)
}

func nearest(dir string, mounts []*mountinfo.Info) (*mountinfo.Info, error) {
	var found *mountinfo.Info
	for _, mount := range mounts {
		if found == nil || len(mount.Mountpoint) >= len(found.Mountpoint) {
			found = mount
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s is on no file system that is mounted here", dir)
	}
	return found, nil
}

type deviceNumber struct{ major, minor uint32 }

// mountedDevice returns the block device of a file system. Btrfs has a number of its own, but names the device.
func mountedDevice(mount *mountinfo.Info) deviceNumber {
	var stat unix.Stat_t
	if mount.Major == 0 && strings.HasPrefix(mount.Source, "/dev/") && unix.Stat(mount.Source, &stat) == nil {
		return deviceNumber{unix.Major(stat.Rdev), unix.Minor(stat.Rdev)}
	}
	return deviceNumber{uint32(mount.Major), uint32(mount.Minor)}
}

// disk returns the whole disk of a block device: the kernel does not throttle partitions.
func disk(sys string, major, minor uint32, subject string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s, which is on no disk that could be throttled", subject)
	}
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	content, err := os.ReadFile(filepath.Join(dir, "uevent"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); found {
			return "/dev/" + name, nil
		}
	}
	return "", fmt.Errorf("%s has no name for its disk", filepath.Join(dir, "uevent"))
}
