package deploy

import (
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ndock/registry/internal/rollback"
)

// inContainer is a registry in a container of an engine.
type inContainer struct {
	*deployment
	host   Host
	engine Engine

	image string                     // to run
	old   *container.InspectResponse // what is there, if anything
	spec  spec                       // of the container that shall be there
	id    string                     // of the new container
	noted bool                       // whether the volume may have a copy of the files that were there
	wrote bool                       // whether they may be others now
}

var _ place = (*inContainer)(nil)

// runs refuses a program that would look for a dynamic loader, which the image has not.
func (*inContainer) runs(program io.ReaderAt, name string) error {
	if err := static(program); err != nil {
		return fmt.Errorf("make an image of %q: %w", name, err)
	}
	return nil
}

func (d *inContainer) listens() string {
	if d.old == nil || !d.old.State.Running {
		return ""
	}
	return d.old.Config.Labels[labelListen]
}

func (d *inContainer) plan() error {
	if all := systemCAs(); all != nil && reachesOut(d.said) {
		d.files[fileSystemCAs] = all
	}
	d.spec = d.newSpec()
	return nil
}

// environment tells Go where the CAs are, if there are any.
func (d *inContainer) environment() []string {
	if d.files[fileSystemCAs] == nil {
		return nil
	}
	return []string{"SSL_CERT_FILE=" + configDir + "/" + fileSystemCAs}
}

// tidy removes what the new container and its image have replaced.
func (d *inContainer) tidy(ctx context.Context) error {
	if err := removeOthers(ctx, d.engine, d.id); err != nil {
		return err
	}
	return removeOtherImages(ctx, d.engine, d.program.digest)
}

func (d *inContainer) look(ctx context.Context) (err error) {
	switch unit, err := d.host.Systemd.unit(); {
	case err != nil:
		return err
	case unit != nil:
		return otherKind("as a container", "a service of this host", onHost.data)
	}
	d.old, err = inspect(ctx, d.engine)
	return err
}

func (d *inContainer) prepare(ctx context.Context) (err error) {
	d.image, err = ensureImage(ctx, d.engine, d.program, d.Version, d.Report)
	return err
}

func (d *inContainer) readConfig(ctx context.Context) (err error) {
	if d.old != nil {
		d.kept, err = readConfig(ctx, d.engine, d.old.ID)
	} else {
		d.kept, err = recoverConfig(ctx, d.engine, d.image)
	}
	d.kept = d.kept.settled()
	return err
}

// upToDate tells whether the registry that is there was made by the same options from the same program.
func (d *inContainer) upToDate() bool {
	return d.old != nil && d.old.State.Running &&
		d.old.Config.Labels[labelSpec] == d.spec.Config.Labels[labelSpec] && d.kept.hold(d.files)
}

// backupName is what the registry that was there is called until its successor answers.
const backupName = containerName + "-before"

// create puts the registry that is there aside and makes the new one, which does not run yet.
func (d *inContainer) create(ctx context.Context) error {
	if d.old != nil {
		if err := d.remember(ctx, d.old.ID); err != nil {
			return err
		}
	}
	if err := d.putAside(ctx); err != nil {
		return err
	}
	made, err := d.engine.ContainerCreate(ctx, d.spec.Config, d.spec.Host, nil, nil, containerName)
	d.id = made.ID
	return explain("make container "+containerName, err)
}

func (d *inContainer) putAside(ctx context.Context) error {
	if d.old == nil {
		return removeOthers(ctx, d.engine, "")
	}
	d.Report.Step("replacing container %s", containerName)
	if err := removeOthers(ctx, d.engine, d.old.ID); err != nil {
		return err
	}
	if err := d.engine.ContainerStop(ctx, d.old.ID, container.StopOptions{}); err != nil {
		return explain("stop container "+containerName, err)
	}
	return explain("put container "+containerName+" aside", d.engine.ContainerRename(ctx, d.old.ID, backupName))
}

// remember keeps the files that are there in the volume, until commit.
func (d *inContainer) remember(ctx context.Context, id string) error {
	before, err := d.kept.remembered()
	if err != nil {
		return err
	}
	d.noted = true
	return writeConfig(ctx, d.engine, id, before)
}

func (d *inContainer) commit(ctx context.Context) error {
	if !d.noted {
		return nil
	}
	return writeConfig(ctx, d.engine, d.id, files{fileBefore: nil})
}

func (d *inContainer) configure(ctx context.Context) error {
	if !d.noted && len(d.kept) > 0 {
		if err := d.remember(ctx, d.id); err != nil {
			return err
		}
	}
	d.wrote = true
	return writeConfig(ctx, d.engine, d.id, d.files)
}

func (d *inContainer) start(ctx context.Context) error { return d.startContainer(ctx, d.id) }

func (d *inContainer) startContainer(ctx context.Context, id string) error {
	return explain("start container "+containerName, d.engine.ContainerStart(ctx, id, container.StartOptions{}))
}

// removeOthers removes all containers of ours but one: what was put aside, and what an ndock that was killed left behind.
func removeOthers(ctx context.Context, engine Engine, keep string) error {
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelRegistry))})
	if err != nil {
		return explain("look for containers of the registry", err)
	}
	var failed []error
	for _, one := range all {
		if one.ID == keep {
			continue
		}
		if err := discard(ctx, engine, one.ID); err != nil {
			failed = append(failed, err)
		}
	}
	return rollback.Join(failed)
}
