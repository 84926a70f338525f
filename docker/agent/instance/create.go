package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/devices"
	"ndock/docker/agent/hostinfo"
	"ndock/docker/agent/limits"
	"ndock/docker/agent/naming"
	"ndock/docker/engine"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// Creator makes servers' containers.
type Creator struct {
	engine     engine.Docker
	containers *Containers
	verbs      *verbs
	dirs       directories
	names      *names
	commits    *commits
	choices    *choices
	devices    *devices.Devices
	config     config.Config
	remover    *Remover
	log        *slog.Logger
}

// Create creates the server's container, without starting it.
func (c *Creator) Create(ctx context.Context, uuid string, spec agent.Spec) error {
	if err := checkText(spec); err != nil {
		return err
	}
	return c.withoutContainer(ctx, uuid, func() error { return c.create(ctx, uuid, spec) })
}

// withoutContainer is withLock for a verb of a server that is to have no container yet.
func (c *Creator) withoutContainer(ctx context.Context, uuid string, verb func() error) error {
	return c.verbs.withLock(ctx, uuid, func() error {
		_, err := c.containers.Find(ctx, uuid)
		switch {
		case err == nil:
			return agent.Faultf(agent.BadRequest, "server %s has a container already", uuid)
		case !absent(err):
			return err
		}
		return verb()
	})
}

func (c *Creator) create(ctx context.Context, uuid string, spec agent.Spec) error {
	if !network.Recorded(c.dirs.of(uuid)) { // Nova has plugged its ports, be it none, before it fetched the image
		return fmt.Errorf("it is not recorded here which ports server %s has: they were removed as no server's, if its image took hours to come", uuid)
	}
	if err := c.remover.removeUnfinished(ctx, uuid); err != nil {
		return err
	}
	from, done, err := c.image(ctx, uuid, spec)
	if err != nil {
		return err
	}
	defer done()
	if err := c.createContainer(ctx, uuid, spec, from); err != nil {
		return errors.Join(err, c.cleanUp(context.WithoutCancel(ctx), uuid), engine.Discard(c.engine, from.ID)) // which leaves one of Glance alone
	}
	return nil
}

// cleanUp removes the config drive that a create has written which failed. A container that is there all the same keeps what it
// needs.
func (c *Creator) cleanUp(ctx context.Context, uuid string) error {
	if _, err := c.containers.Find(ctx, uuid); !absent(err) {
		return err
	}
	backup, err := c.containers.backup(ctx, uuid)
	if err != nil && !absent(err) {
		return err
	}
	return os.RemoveAll(c.dirs.configDrive(uuid, backup))
}

// image returns the image for the container. The caller calls done when the container is created, or was not.
func (c *Creator) image(ctx context.Context, uuid string, spec agent.Spec) (from image.InspectResponse, done func(), err error) {
	if spec.Source == agent.FromBackup {
		return c.commitBackup(ctx, uuid)
	}
	if !naming.IsUUID(spec.ImageID) { // it could name an image that is not Glance's
		return from, nil, agent.Faultf(agent.BadRequest, "%q is no image's id", spec.ImageID)
	}
	from, err = c.engine.ImageInspect(ctx, naming.ImageTag(spec.ImageID))
	if err != nil {
		return from, nil, fmt.Errorf("look up image %s: %w", spec.ImageID, err)
	}
	if spec.New {
		if err := limits.CheckImageSize(from.Size, int64(spec.RootGB)); err != nil {
			return from, nil, err
		}
	}
	// Tagged again, it counts as used now.
	return from, func() {}, c.engine.ImageTag(ctx, from.ID, naming.ImageTag(spec.ImageID))
}

// commitBackup makes an image of the files of the server's backup. It has no name, and goes with the container that is made
// of it.
func (c *Creator) commitBackup(ctx context.Context, uuid string) (made image.InspectResponse, done func(), err error) {
	backup, err := c.containers.backup(ctx, uuid)
	if err != nil {
		return made, nil, err
	}
	id, end, err := c.commits.commit(ctx, uuid, backup.ID, false)
	if err != nil {
		return made, nil, err
	}
	made, err = c.engine.ImageInspect(ctx, id)
	if err != nil {
		gone, failed := engine.RemoveUnused(c.engine, id)
		return made, nil, errors.Join(err, failed, end(gone))
	}
	return made, func() { _ = end(false) }, nil // it stays recorded: nothing is done that could fail
}

func (c *Creator) createContainer(ctx context.Context, uuid string, spec agent.Spec, from image.InspectResponse) error {
	wanted, host, err := containerFor(uuid, spec, from.ID)
	if err != nil {
		return err
	}
	choice, err := c.choices.of(ctx, spec)
	if err != nil {
		return err
	}
	wanted.Labels[naming.LabelRuntime] = choice.Name
	check, unchecked := limits.Healthcheck(from, wanted.User, c.config, c.engine.ClientVersion())
	wanted.Healthcheck = check
	if host.Mounts, err = c.mounts(ctx, uuid, spec, wanted); err != nil {
		return err
	}
	if err := c.limit(ctx, uuid, host, spec, from); err != nil {
		return err
	}
	if choice.Engine, err = c.dirs.recordEngine(ctx, uuid, c.engine); err != nil {
		return err
	}
	if err := c.takeDevices(ctx, uuid, spec); err != nil {
		return err
	}
	if err := checkSandbox(c.devices, choice, uuid, ""); err != nil {
		return err
	}
	devices, err := c.devices.Of(uuid, "")
	if err != nil {
		return err
	}
	wanted.Labels[naming.LabelDevices] = strconv.Itoa(len(devices))
	// The engine goes on when its caller is gone, for as long as it copies what is in the image's volumes. It is waited for, with the
	// server's lock: a delete finds the container.
	made, err := c.engine.ContainerCreate(context.WithoutCancel(ctx), wanted, host, nil, nil, naming.Unfinished(uuid))
	if err != nil {
		return fmt.Errorf("create: %w", classify(err))
	}
	if err := c.complete(ctx, uuid, made, spec, choice, host.Mounts, unchecked); err != nil { // an incomplete server is not kept
		return errors.Join(err, c.discard(context.WithoutCancel(ctx), made.ID))
	}
	return nil
}

// discard removes a container that was not completed, and then what is recorded of it.
func (c *Creator) discard(ctx context.Context, id string) error {
	if err := c.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		return err
	}
	return c.choices.forget(id)
}

// complete gives a new container what Docker cannot be asked for when it makes it, and then its server's name. unchecked says why
// the image's health check was left out, if it was.
func (c *Creator) complete(ctx context.Context, uuid string, made container.CreateResponse, spec agent.Spec, choice ociruntime.Choice, mounts []mount.Mount, unchecked error) error {
	err := errors.Join(limits.CheckWarnings(made.Warnings), c.choices.record(choice, uuid, made.ID), c.devices.Bind(uuid, made.ID))
	if err == nil {
		err = c.label(ctx, made.ID, mounts)
	}
	if err == nil {
		err = c.inject(ctx, uuid, made.ID, spec, unchecked)
	}
	if err == nil {
		err = c.engine.ContainerRename(ctx, made.ID, naming.Container(uuid))
	}
	return err
}

// label has a new container be let read its config drive by SELinux.
func (c *Creator) label(ctx context.Context, containerID string, mounts []mount.Mount) error {
	drive := slices.IndexFunc(mounts, func(m mount.Mount) bool { return m.Target == configDrivePaths[0] })
	if drive < 0 {
		return nil
	}
	made, err := c.engine.ContainerInspect(ctx, containerID)
	if err != nil {
		return fmt.Errorf("ask for the SELinux label of the container's files: %w", err)
	}
	return labelConfigDrive(mounts[drive].Source, made.MountLabel)
}

// ReserveDevices records which devices of the host the container will have that is to be created next, and returns their names:
// a server's metadata, which names them, may be a part of what it is created with. Of the spec only what is about them counts.
func (c *Creator) ReserveDevices(ctx context.Context, uuid string, spec agent.Spec) (names []string, err error) {
	err = c.withoutContainer(ctx, uuid, func() error {
		if err := c.takeDevices(ctx, uuid, spec); err != nil {
			return err
		}
		names, err = c.devices.Of(uuid, "")
		return err
	})
	return names, err
}

// takeDevices records which devices of the host the container will have. The server's backup keeps its own, and shares them in
// a rescue.
func (c *Creator) takeDevices(ctx context.Context, uuid string, spec agent.Spec) error {
	backup, err := c.containers.backup(ctx, uuid)
	switch {
	case absent(err):
		return c.devices.Take(uuid, spec.Devices, spec.NUMANodes, "")
	case err != nil:
		return err
	case spec.Source == agent.Rescue:
		return c.devices.Share(uuid, backup.ID)
	}
	return c.devices.Take(uuid, spec.Devices, spec.NUMANodes, backup.ID)
}

// mounts returns the container's mounts: of its server's directory, and in a rescue of the backup.
func (c *Creator) mounts(ctx context.Context, uuid string, spec agent.Spec, of *container.Config) ([]mount.Mount, error) {
	backup, err := c.containers.backup(ctx, uuid)
	if err != nil && !absent(err) {
		return nil, err
	}
	drive, err := c.dirs.writeConfigDrive(uuid, spec.ConfigDrive, backup)
	if err != nil {
		return nil, err
	}
	names, err := c.names.create(uuid, of)
	if err != nil || spec.Source != agent.Rescue {
		return append(drive, names...), err
	}
	own, err := c.mountBackup(ctx, uuid)
	return slices.Concat(drive, names, own), err
}

// limit sets the container's limits, as this host can hold them, and what confines it.
func (c *Creator) limit(ctx context.Context, uuid string, host *container.HostConfig, spec agent.Spec, from image.InspectResponse) error {
	info, err := c.engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask Docker what it can limit: %w", err)
	}
	profile, err := limits.AppArmorProfile(c.config.AppArmor, info, limits.LoadedProfiles)
	if err != nil {
		return err
	}
	err = limits.Apply(host, c.config, spec, from, limits.Host{
		AppArmor:      profile,
		StorageDriver: info.Driver,
		RootDisks:     hostinfo.RootDisks(info),
		Disk:          func() (string, error) { return hostinfo.DiskOf(info.DockerRootDir) },
		NUMANodes:     hostinfo.NUMANodes,
	})
	if err != nil || spec.Source != agent.Rescue {
		return err
	}
	return c.shareLevel(ctx, uuid, host)
}

// inject writes files, key and password into a new container. A file that cannot be written is an error. A key or a password
// for which the image has no place is left out, as Nova's other drivers do: Nova sends a password with every server. What was
// left out before is told with it.
func (c *Creator) inject(ctx context.Context, uuid, containerID string, spec agent.Spec, before error) error {
	in := files{c.engine, containerID}
	for _, file := range spec.Files {
		if err := in.write(ctx, tarFile{path: file.Path, content: file.Content, mode: 0o644}); err != nil {
			return err
		}
	}
	failed := []error{before}
	if spec.PublicKey != "" {
		failed = append(failed, in.authorize(ctx, spec.PublicKey))
	}
	if spec.Password != "" {
		failed = append(failed, in.setPassword(ctx, spec.Password))
	}
	return c.leaveOut(uuid, failed)
}

// leaveOut ignores these errors where the image has no place for something, and writes what its owner should know to the
// server's notice.
func (c *Creator) leaveOut(uuid string, reasons []error) error {
	notice := ""
	for _, err := range reasons {
		var odd *oddFile
		switch {
		case errors.As(err, &odd):
			c.log.Warn("the server starts without a part of what it was to get", "server", uuid, "reason", err)
			notice += fmt.Sprintf("[ndock] %s: left out\r\n", odd)
		case errors.Is(err, limits.ErrHealthcheckUser):
			c.log.Info("the server starts without a part of what it was to get", "server", uuid, "reason", err)
			notice += fmt.Sprintf("[ndock] %s\r\n", limits.ErrHealthcheckUser)
		case errors.Is(err, errNoAccounts):
			c.log.Info("the server starts without a password", "server", uuid, "reason", err)
		case err != nil:
			return err
		}
	}
	return os.WriteFile(c.dirs.notice(uuid), []byte(notice), 0o600)
}
