package registry

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// asideName is what the registry that was there is called until its successor answers.
const asideName = containerName + "-before"

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
		return sweep(ctx, d.engine, "")
	}
	d.Report.Step("replacing container %s", containerName)
	if err := sweep(ctx, d.engine, d.old.ID); err != nil {
		return err
	}
	if err := d.engine.ContainerStop(ctx, d.old.ID, container.StopOptions{}); err != nil {
		return explain("stop container "+containerName, err)
	}
	return explain("put container "+containerName+" aside", d.engine.ContainerRename(ctx, d.old.ID, asideName))
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

// sweep removes all containers of ours but one: what was put aside, and what an ndock that was killed left behind.
func sweep(ctx context.Context, engine Engine, keep string) error {
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
	return inOne(failed)
}
