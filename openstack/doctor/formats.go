package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// formats is the check that Glance takes Docker images: container_format docker, disk_format raw.
func formats(ctx context.Context, x *examination) Finding {
	taken, err := x.cloud.Formats(ctx)
	switch {
	case err != nil:
		return unanswered(err)
	case !slices.Contains(taken.Container, "docker"):
		return broken(allow("container_formats", taken.Container, "docker"), "Glance takes no images of container format docker, only %s", strings.Join(taken.Container, ", "))
	case !slices.Contains(taken.Disk, "raw"):
		return broken(allow("disk_formats", taken.Disk, "raw"), "Glance takes no images of disk format raw, only %s", strings.Join(taken.Disk, ", "))
	}
	return well("Glance takes images of container format docker")
}

// allow is run where Glance runs.
func allow(option string, taken []string, one string) string {
	return fmt.Sprintf("crudini --set /etc/glance/glance-api.conf image_format %s %s && service glance-api restart", option, word(strings.Join(append(slices.Clone(taken), one), ",")))
}
