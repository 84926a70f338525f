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
	if err := d.putBack(ctx); err != nil {
		return fmt.Errorf("%w; and then: %w", cause, err)
	}
	return cause
}

// putBack undoes create, configure, start and trust, as far as they came.
func (d *deployment) putBack(ctx context.Context) error {
	steps := []func(context.Context) error{d.restoreConfig, d.sweepNew, d.dropConfig, d.distrust}
	if d.old != nil {
		d.Report.Step("putting back the container that was there")
		steps = []func(context.Context) error{d.restoreConfig, d.sweepNew, d.restoreOld}
	}
	return inOrder(ctx, steps...)
}

func (d *deployment) restoreConfig(ctx context.Context) error {
	if d.id == "" {
		return nil
	}
	return writeConfig(ctx, d.engine, d.id, d.kept.insteadOf(d.files))
}

func (d *deployment) sweepNew(ctx context.Context) error {
	if d.old != nil {
		return sweep(ctx, d.engine, d.old.ID)
	}
	return sweep(ctx, d.engine, "")
}

// dropConfig leaves no secrets behind where there was no registry before.
func (d *deployment) dropConfig(ctx context.Context) error {
	if len(d.kept) > 0 {
		return nil
	}
	err := d.engine.VolumeRemove(ctx, configVolume, false)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return explain("remove volume "+configVolume, err)
}

func (d *deployment) distrust(context.Context) error {
	_, err := trust{d.CertsDir}.sync(nil, d.files[fileCA])
	return err
}

func (d *deployment) restoreOld(ctx context.Context) error {
	now, err := d.engine.ContainerInspect(ctx, d.old.ID)
	if err == nil && now.Name != "/"+containerName {
		err = d.engine.ContainerRename(ctx, d.old.ID, containerName)
	}
	if err != nil || !d.old.State.Running {
		return explain("put container "+containerName+" back", err)
	}
	return d.startContainer(ctx, d.old.ID)
}
