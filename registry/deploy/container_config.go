package deploy

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// readConfig returns the files of the config volume, through a container that mounts it, running or not.
func readConfig(ctx context.Context, engine Engine, id string) (files, error) {
	archive, _, err := engine.CopyFromContainer(ctx, id, configDir)
	if err != nil {
		return nil, explain("read volume "+configVolume, err)
	}
	defer archive.Close()
	found, err := unpack(archive)
	return found, explain("read volume "+configVolume, err)
}

// writeConfig writes files into the config volume. Arguments, labels and the environment of a container are no place
// for them: all who may ask the engine can see those.
func writeConfig(ctx context.Context, engine Engine, id string, f files) error {
	archive, err := f.pack()
	if err != nil {
		return err
	}
	return explain("write volume "+configVolume, engine.CopyToContainer(ctx, id, configDir, archive, container.CopyToContainerOptions{}))
}

// recoverConfig returns the files of a config volume whose container somebody has removed. It uses a container that
// never starts, because the engine shows volumes only through containers.
func recoverConfig(ctx context.Context, engine Engine, image string) (files, error) {
	if _, err := engine.VolumeInspect(ctx, configVolume); errdefs.IsNotFound(err) {
		return files{}, nil
	} else if err != nil {
		return nil, explain("look for volume "+configVolume, err)
	}
	config := &container.Config{Image: image, Cmd: []string{"none"}, Labels: map[string]string{labelRegistry: "helper"}}
	host := &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: configVolume, Target: configDir}}}
	helper, err := engine.ContainerCreate(ctx, config, host, nil, nil, "")
	if err != nil {
		return nil, explain("read volume "+configVolume, err)
	}
	defer engine.ContainerRemove(context.WithoutCancel(ctx), helper.ID, container.RemoveOptions{Force: true}) // it is labelled: Remove finds it
	return readConfig(ctx, engine, helper.ID)
}
