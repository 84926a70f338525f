package hostinfo

import (
	"fmt"
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

// projectQuotas tells whether a mount's options say that quotas on projects are enforced.
func projectQuotas(options string) bool {
	return slices.ContainsFunc(strings.Split(options, ","), func(option string) bool {
		return option == "prjquota" || option == "pquota"
	})
}
