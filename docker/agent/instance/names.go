package instance

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"ndock/docker/agent/naming"
	"ndock/docker/network"
)

// names writes /etc/hosts, /etc/resolv.conf and /etc/hostname of servers, in the place of Docker's, see network.NameFiles.
type names struct {
	plugger *plugger
	dirs    directories
	copies  string // directory of those that running containers see, see ociruntime.Names
	log     *slog.Logger
}

// create writes the files of a new container and returns its mounts of them. The container gets copies of them when it
// starts.
func (n *names) create(uuid string, of *container.Config) ([]mount.Mount, error) {
	if err := n.write(uuid, n.dirs.of(uuid), of); err != nil {
		return nil, err
	}
	var mounts []mount.Mount
	files := network.NameFiles(n.dirs.of(uuid))
	for _, source := range slices.Sorted(maps.Keys(files)) {
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: source, Target: files[source]})
	}
	return mounts, nil
}

func (n *names) write(uuid, dir string, of *container.Config) error {
	ports, err := n.plugger.fittingPorts(uuid)
	if err != nil {
		return err
	}
	if err := network.WriteNames(dir, of.Hostname, of.Labels[naming.LabelDomain], ports); err != nil {
		return fmt.Errorf("write the names that server %s knows: %w", uuid, err)
	}
	return nil
}

// refresh writes them anew for a container that is there. One that runs has copies of its own; not so if it was started by
// an earlier release.
func (n *names) refresh(found container.InspectResponse) error {
	uuid := serverOf(found)
	if err := n.write(uuid, n.dirs.of(uuid), found.Config); err != nil {
		return err
	}
	copies := filepath.Join(n.copies, found.ID)
	if _, err := os.Stat(copies); !found.State.Running || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return n.write(uuid, copies, found.Config)
}

// tryRefresh is refresh for a container that runs: its owner can keep it from being done, to no one's harm but his.
func (n *names) tryRefresh(found container.InspectResponse) {
	if err := n.refresh(found); err != nil {
		n.log.Warn("a server keeps the names that it knows", "reason", err)
	}
}
