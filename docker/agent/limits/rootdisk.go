package limits

import (
	"maps"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"

	"ndock/docker/agent"
)

// limitRootDisk holds a server to the disk of its flavor where the host can. The VOLUMEs of its image have quotas of their
// own: each gets the same share of the disk, or an image could multiply it.
func limitRootDisk(to *container.HostConfig, spec agent.Spec, from image.InspectResponse, host Host) {
	if !host.RootDisks.Limited || spec.RootGB == 0 {
		return
	}
	size := int64(spec.RootGB) << 30
	if host.StorageDriver == "overlay2" {
		volumes := volumesOf(from)
		size /= int64(1 + len(volumes))
		for _, path := range volumes {
			to.Mounts = append(to.Mounts, limitedVolume(path, size))
		}
	}
	to.StorageOpt = map[string]string{"size": strconv.FormatInt(size, 10)}
}

// limitedVolume replaces the volume that Docker would make, and like that one is removed with the container.
func limitedVolume(path string, size int64) mount.Mount {
	options := map[string]string{"size": strconv.FormatInt(size, 10)}
	return mount.Mount{
		Type: mount.TypeVolume, Target: path,
		VolumeOptions: &mount.VolumeOptions{DriverConfig: &mount.Driver{Name: "local", Options: options}},
	}
}

func volumesOf(from image.InspectResponse) []string {
	if from.Config == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(from.Config.Volumes))
}
