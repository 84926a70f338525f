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

func (d *inContainer) configure(ctx context.Context) error {
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
	for _, one := range all {
		if one.ID == keep {
			continue
		}
		if err := discard(ctx, engine, one.ID); err != nil {
			return err
		}
	}
	return nil
}
