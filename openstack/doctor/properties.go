package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ndock/openstack"
)

// properties is the check of mixed clouds: by the images' hypervisor_type Nova's ImagePropertiesFilter keeps Docker
// images on the hosts of Docker, and virtual machines off them. Whether that filter is in use, no API tells; by default
// it is.
func properties(ctx context.Context, x *examination) Finding {
	docker, err := x.cloud.Images(ctx)
	if err != nil {
		return unanswered(err)
	}
	loose := kept(docker, func(image openstack.Image) bool { return image.HypervisorType != "docker" })
	if x.hypervisors == nil { // an administrator has a list, though it may be empty
		return guessed(x.own(loose))
	}
	other := otherType(x.hypervisors)
	if other == "" {
		return well("no hypervisor is of another type than docker: images need not say where they belong")
	}
	if len(loose) > 0 {
		return doubtful(setType("docker", loose), "Docker images without hypervisor_type=docker may be sent to hypervisors of type %s: %s", other, imageNames(loose))
	}
	machines, err := x.cloud.MachineImages(ctx)
	if err != nil {
		return unanswered(err)
	}
	loose = kept(machines, func(image openstack.Image) bool {
		return image.HypervisorType == "" || image.HypervisorType == "docker"
	})
	if len(loose) > 0 {
		return doubtful(setType(strings.ToLower(other), loose), "images of virtual machines without a hypervisor_type of their own may be sent to hypervisors of type docker, where they fail: %s", imageNames(loose))
	}
	return well("every image says by hypervisor_type where it belongs")
}

// guessed is what a tenant is told, who does not see whether the cloud is mixed.
func guessed(loose []openstack.Image) Finding {
	if len(loose) == 0 {
		return well("every Docker image of the project has hypervisor_type=docker")
	}
	return Finding{
		State: Unknown, Fix: setType("docker", loose),
		Detail: "whether there are hypervisors of other types is not known; if so, these images may be sent there: " + imageNames(loose),
	}
}

// own are the images that the project may change.
func (x *examination) own(images []openstack.Image) []openstack.Image {
	return kept(images, func(image openstack.Image) bool { return image.Owner == x.session.ProjectID })
}

func otherType(all []openstack.Hypervisor) string {
	at := slices.IndexFunc(all, func(one openstack.Hypervisor) bool { return !isDocker(one) })
	if at < 0 {
		return ""
	}
	return all[at].Type
}

func imageNames(images []openstack.Image) string {
	var names []string
	for _, image := range images {
		names = append(names, image.Name)
	}
	return openstack.Abbreviate(names)
}

// setType names images by their ids: those are one word, and one image's.
func setType(hypervisor string, images []openstack.Image) string {
	const set = "openstack image set --property hypervisor_type=%s %s"
	if len(images) == 1 {
		return fmt.Sprintf(set, word(hypervisor), word(images[0].ID))
	}
	var ids []string
	for _, image := range images {
		ids = append(ids, image.ID)
	}
	return fmt.Sprintf("for image in %s; do "+set+"; done", words(ids), word(hypervisor), `"$image"`)
}
