package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// undo puts back the registry that was there, though the context may have ended.
func (d *deployment) undo(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := d.place.putBack(ctx); err != nil {
		return fmt.Errorf("%w; and then: %w", cause, err)
	}
	return cause
}

func (d *inContainer) putBack(ctx context.Context) error {
	steps := []func(context.Context) error{d.restoreConfig, d.sweepNew, d.dropConfig, d.distrust}
	if d.old != nil {
		d.Report.Step("putting back the container that was there")
		steps = []func(context.Context) error{d.restoreConfig, d.sweepNew, d.restoreOld}
	}
	return inOrder(ctx, steps...)
}

func (d *inContainer) restoreConfig(ctx context.Context) error {
	if d.id == "" {
		return nil
	}
	return writeConfig(ctx, d.engine, d.id, d.kept.insteadOf(d.files))
}

func (d *inContainer) sweepNew(ctx context.Context) error {
	if d.old != nil {
		return sweep(ctx, d.engine, d.old.ID)
	}
	return sweep(ctx, d.engine, "")
}

// dropConfig leaves no secrets behind where there was no registry before.
func (d *inContainer) dropConfig(ctx context.Context) error {
	if len(d.kept) > 0 {
		return nil
	}
	err := d.engine.VolumeRemove(ctx, configVolume, false)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return explain("remove volume "+configVolume, err)
}

func (d *inContainer) restoreOld(ctx context.Context) error {
	now, err := d.engine.ContainerInspect(ctx, d.old.ID)
	if err == nil && now.Name != "/"+containerName {
		err = d.engine.ContainerRename(ctx, d.old.ID, containerName)
	}
	if err != nil || !d.old.State.Running {
		return explain("put container "+containerName+" back", err)
	}
	return d.startContainer(ctx, d.old.ID)
}
