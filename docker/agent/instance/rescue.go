package instance

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
)

// rescuePath is where a rescued server has its own files.
const rescuePath = "/mnt/rescue"

// mountBackup makes a volume of the files of the server's backup. Docker mounts it whenever the container
// that has it starts, and at no other time: both containers' writes in one directory at once would damage it.
func (c *Creator) mountBackup(ctx context.Context, uuid string) ([]mount.Mount, error) {
	backup, err := c.containers.backup(ctx, uuid)
	if err != nil {
		return nil, err
	}
	options, err := overlayOptions(backup)
	if err != nil {
		return nil, err
	}
	_, err = c.engine.VolumeCreate(ctx, volume.CreateOptions{
		Name: naming.RescueVolume(uuid), Driver: "local", Labels: map[string]string{naming.LabelServer: uuid},
		DriverOpts: map[string]string{"type": "overlay", "device": "overlay", "o": options},
	})
	if err != nil {
		return nil, fmt.Errorf("make a volume of the server's files: %w", err)
	}
	return []mount.Mount{{Type: mount.TypeVolume, Source: naming.RescueVolume(uuid), Target: rescuePath}}, nil
}

// overlayOptions returns the mount options by which Docker itself mounts the container's files.
func overlayOptions(of container.InspectResponse) (string, error) {
	layers := of.GraphDriver.Data
	if of.GraphDriver.Name != "overlay2" || layers["UpperDir"] == "" {
		return "", agent.Faultf(agent.BadRequest, "a server can be rescued where Docker's storage driver is overlay2, and here it is %q", of.GraphDriver.Name)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,nodev", layers["LowerDir"], layers["UpperDir"], layers["WorkDir"])
	if strings.ContainsAny(layers["LowerDir"], ",") || len(options) >= os.Getpagesize() { // what mount(2) can be given
		return "", agent.Faultf(agent.BadRequest, "the server's image has too many layers (%d) for its files to be mounted in another container", strings.Count(layers["LowerDir"], ":"))
	}
	return options, nil
}

func (r *Remover) removeRescueVolume(ctx context.Context, uuid string) error {
	if err := r.engine.VolumeRemove(ctx, naming.RescueVolume(uuid), false); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", naming.RescueVolume(uuid), err)
	}
	return nil
}
