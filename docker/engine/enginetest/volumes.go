package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
)

func (e *Engine) VolumeCreate(_ context.Context, options volume.CreateOptions) (volume.Volume, error) {
	if err := e.did("VolumeCreate", options.Name); err != nil {
		return volume.Volume{}, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	return volume.Volume{Name: options.Name}, e.makeVolume(options)
}

func (e *Engine) makeVolume(options volume.CreateOptions) error {
	if _, there := e.Volumes[options.Name]; there {
		return nil
	}
	e.Volumes[options.Name] = options
	if e.VolumesDir == "" {
		return nil
	}
	return os.MkdirAll(filepath.Join(e.VolumesDir, options.Name), 0o755)
}

// mount makes the volumes of a new container that are not there.
func (e *Engine) mount(host *container.HostConfig) error {
	for _, m := range mountsOf(host) {
		if m.Type != mount.TypeVolume {
			continue
		}
		if err := e.makeVolume(volume.CreateOptions{Name: m.Source}); err != nil {
			return err
		}
	}
	return nil
}

func mountsOf(host *container.HostConfig) []mount.Mount {
	if host == nil {
		return nil
	}
	return host.Mounts
}

func (e *Engine) VolumeInspect(_ context.Context, name string) (volume.Volume, error) {
	if err := e.did("VolumeInspect", name); err != nil {
		return volume.Volume{}, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	if _, there := e.Volumes[name]; !there {
		return volume.Volume{}, noVolume(name)
	}
	return volume.Volume{Name: name}, nil
}

func noVolume(name string) error {
	return fmt.Errorf("get %s: no such volume: %w", name, errdefs.ErrNotFound)
}

func (e *Engine) VolumeRemove(_ context.Context, name string, _ bool) error {
	if err := e.did("VolumeRemove", name); err != nil {
		return err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	if _, there := e.Volumes[name]; !there {
		return noVolume(name)
	}
	if e.isMounted(name) {
		return fmt.Errorf("remove %s: volume is in use: %w", name, errdefs.ErrConflict)
	}
	delete(e.Volumes, name)
	if e.VolumesDir == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(e.VolumesDir, name))
}

func (e *Engine) isMounted(name string) bool {
	for _, found := range e.Containers {
		for _, m := range mountsOf(found.HostConfig) {
			if m.Type == mount.TypeVolume && m.Source == name {
				return true
			}
		}
	}
	return false
}
