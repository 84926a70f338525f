package server

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
)

// rescuePath is where a rescued server finds its own files.
const rescuePath = "/mnt/rescue"

func rescueVolume(uuid string) string { return namePrefix + uuid + "-rescue" }

// mountAside makes a volume of the files of the container that is set aside. Docker mounts it whenever the container
// that has it starts, and at no other time: both containers' writes in one directory at once would damage it.
func (s *Server) mountAside(ctx context.Context, uuid string) ([]mount.Mount, error) {
	aside, err := s.findAside(ctx, uuid)
	if err != nil {
		return nil, err
	}
	options, err := overlayOptions(aside)
	if err != nil {
		return nil, err
	}
	_, err = s.docker.VolumeCreate(ctx, volume.CreateOptions{
		Name: rescueVolume(uuid), Driver: "local", Labels: map[string]string{labelServer: uuid},
		DriverOpts: map[string]string{"type": "overlay", "device": "overlay", "o": options},
	})
	if err != nil {
		return nil, fmt.Errorf("make a volume of the server's files: %w", err)
	}
	return []mount.Mount{{Type: mount.TypeVolume, Source: rescueVolume(uuid), Target: rescuePath}}, nil
}

// overlayOptions are those by which Docker itself mounts the files of a container.
func overlayOptions(of container.InspectResponse) (string, error) {
	layers := of.GraphDriver.Data
	if of.GraphDriver.Name != "overlay2" || layers["UpperDir"] == "" {
		return "", badRequest("a server can be rescued where Docker's storage driver is overlay2, and here it is %q", of.GraphDriver.Name)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,nodev", layers["LowerDir"], layers["UpperDir"], layers["WorkDir"])
	if strings.ContainsAny(layers["LowerDir"], ",") || len(options) >= os.Getpagesize() { // what mount(2) can be given
		return "", badRequest("the server's image has too many layers (%d) for its files to be mounted in another container", strings.Count(layers["LowerDir"], ":"))
	}
	return options, nil
}

func (s *Server) removeRescueVolume(ctx context.Context, uuid string) error {
	if err := s.docker.VolumeRemove(ctx, rescueVolume(uuid), false); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", rescueVolume(uuid), err)
	}
	return nil
}
