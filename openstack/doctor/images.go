package doctor

import (
	"context"

	"ndock/openstack"
)

// images is the check that there is one to boot.
func images(ctx context.Context, x *examination) Finding {
	all, err := x.cloud.Images(ctx)
	if err != nil {
		return unanswered(err)
	}
	bootable := kept(all, boots)
	switch {
	case len(bootable) > 0:
		return well("%d can be booted: %s", len(bootable), imageNames(bootable))
	case len(all) > 0:
		return broken("ndock image push-glance IMAGE", "no Docker image in Glance can be booted: what there is has no bytes yet, or another hypervisor_type: %s", imageNames(all))
	}
	return broken("ndock image push-glance IMAGE", "there is no Docker image in Glance")
}

// boots is true of what Nova would take, and send to a host of type docker.
func boots(image openstack.Image) bool {
	return image.Status == "active" && image.Size > 0 && (image.HypervisorType == "" || image.HypervisorType == "docker")
}
