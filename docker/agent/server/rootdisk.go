package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/system"

	"ndock/docker/agent"
)

// rootDisks finds out whether Docker can hold a container to a size here, and says by what or why not.
func rootDisks(info system.Info) agent.RootDisks {
	switch info.Driver {
	case "btrfs", "zfs":
		return agent.RootDisks{Limited: true, Reason: info.Driver + ", but not what is in an image's VOLUMEs"}
	case "overlay2":
		return overlayDisks(info)
	}
	return agent.RootDisks{Reason: "the storage driver " + info.Driver + " has no quotas"}
}

func overlayDisks(info system.Info) agent.RootDisks {
	on := backing(info)
	if on != "xfs" {
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

// projectQuotas reads the kernel's word for a quota on projects that is enforced, whichever the mount was given.
func projectQuotas(options string) bool {
	return slices.ContainsFunc(strings.Split(options, ","), func(option string) bool {
		return option == "prjquota" || option == "pquota"
	})
}

// limitRootDisk holds a server to the disk of its flavor where the host can. The VOLUMEs of its image have quotas of
// their own: each gets the same share of that disk, or an image could have any number of disks.
func limitRootDisk(host *container.HostConfig, spec agent.Spec, found image.InspectResponse, driver string, disks agent.RootDisks) {
	if !disks.Limited || spec.RootGB == 0 {
		return
	}
	size := int64(spec.RootGB) << 30
	if driver == "overlay2" {
		volumes := volumesOf(found)
		size /= int64(1 + len(volumes))
		for _, path := range volumes {
			host.Mounts = append(host.Mounts, limitedVolume(path, size))
		}
	}
	host.StorageOpt = map[string]string{"size": strconv.FormatInt(size, 10)}
}

// limitedVolume takes the place of the volume that Docker would make, and is removed with the container like that.
func limitedVolume(path string, size int64) mount.Mount {
	options := map[string]string{"size": strconv.FormatInt(size, 10)}
	return mount.Mount{
		Type: mount.TypeVolume, Target: path,
		VolumeOptions: &mount.VolumeOptions{DriverConfig: &mount.Driver{Name: "local", Options: options}},
	}
}

func volumesOf(found image.InspectResponse) []string {
	if found.Config == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(found.Config.Volumes))
}
