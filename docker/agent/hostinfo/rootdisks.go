package hostinfo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/system"

	"ndock/docker/agent"
)

// RootDisks tells whether Docker can limit the size of a container's files here, and by what or why not.
func RootDisks(info system.Info) agent.RootDisks {
	switch info.Driver {
	case "btrfs", "zfs":
		return agent.RootDisks{Limited: true, Reason: info.Driver + ", but not what is in an image's VOLUMEs"}
	case "overlay2":
		return overlayDisks(info)
	}
	return agent.RootDisks{Reason: "the storage driver " + info.Driver + " has no quotas"}
}

// quotaLacks says what servers go without where Docker's quotas are there and hold nobody. New servers get them all the same.
func quotaLacks(info system.Info) []string {
	if info.Driver != "btrfs" {
		return nil
	}
	mounted, err := mountOf(info.DockerRootDir)
	if err != nil || !quotasInconsistent(sysfs, mountedDevice(mounted)) {
		return nil
	}
	return []string{"btrfs finds the figures of its quotas inconsistent, and may hold no server to its disk until they are counted again, by: btrfs quota rescan " + mounted.Mountpoint}
}

// quotasInconsistent tells whether the btrfs on this device says so. It says nothing where it has no quotas yet: Docker enables
// them with the first container that is limited.
func quotasInconsistent(sys string, on deviceNumber) bool {
	device, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", fmt.Sprintf("%d:%d", on.major, on.minor)))
	if err != nil {
		return false
	}
	members, err := filepath.Glob(filepath.Join(sys, "fs/btrfs/*/devices", filepath.Base(device)))
	if err != nil || len(members) == 0 {
		return false
	}
	said, err := os.ReadFile(filepath.Join(members[0], "../../qgroups/inconsistent"))
	return err == nil && strings.TrimSpace(string(said)) == "1"
}

func overlayDisks(info system.Info) agent.RootDisks {
	switch on := backing(info); on {
	case "xfs":
	case "btrfs": // there, too, engines of today take overlay2 by themselves
		return agent.RootDisks{Reason: "overlay2 has no quotas on btrfs, where Docker's storage driver btrfs has"}
	default:
		return agent.RootDisks{Reason: "overlay2 has no quotas on " + on + ", only on xfs"}
	}
	mounted, err := mountOf(info.DockerRootDir)
	if err != nil {
		return agent.RootDisks{Reason: err.Error()}
	}
	if !projectQuotas(mounted.VFSOptions) {
		return agent.RootDisks{Reason: fmt.Sprintf("%s, on xfs, is mounted without pquota", mounted.Mountpoint)}
	}
	return agent.RootDisks{Limited: true, Reason: "overlay2 on xfs with pquota"}
}

func backing(info system.Info) string {
	for _, pair := range info.DriverStatus {
		if pair[0] == "Backing Filesystem" {
			return pair[1]
		}
	}
	return "an unknown file system"
}

// projectQuotas tells whether a mount's options say that quotas on projects are enforced.
func projectQuotas(options string) bool {
	return slices.ContainsFunc(strings.Split(options, ","), func(option string) bool {
		return option == "prjquota" || option == "pquota"
	})
}
