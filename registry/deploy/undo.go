package deploy

import (
	"context"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/registry/internal/rollback"
	"ndock/registry/trust"
)

// undo puts back the registry that was there, though the context may have ended.
func (d *deployment) undo(ctx context.Context, cause error) error {
	steps := append(trust.Certs{Dir: d.CertsDir}.UndoSteps(d.trusted), d.place.putBack()...)
	return rollback.WithFailed(cause, d.takeBack(context.WithoutCancel(ctx), steps))
}

// takeBack takes the steps, and removes the record of what was there only when all of them are done. Until then, the
// next deployment finds it and takes them again.
func (d *deployment) takeBack(ctx context.Context, steps []rollback.Step) (failed []error) {
	if failed = rollback.Run(ctx, d.Report, "undo", d.limit(), steps); len(failed) > 0 {
		return failed
	}
	return rollback.Run(ctx, d.Report, "undo", d.limit(), []rollback.Step{
		{Title: "remove " + fileBefore, Do: d.place.forget, ByHand: "see to why it cannot be removed; the next 'ndock registry deploy' removes it"},
	})
}

// limit is the time that one step may take.
func (d *deployment) limit() time.Duration {
	return rollback.StepLimit + time.Duration(d.patience())*time.Second
}

// whole has a step that was begun come to its end although the context ends: what is half done could not be undone.
func (d *deployment) whole(step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return rollback.Within(context.WithoutCancel(ctx), d.limit(), step) }
}

// putBack has the configuration back first, because the container that was there starts with it.
func (d *inContainer) putBack() []rollback.Step {
	steps := []rollback.Step{
		{Title: "configuration", Do: d.restoreConfig, ByHand: "see to why volume " + configVolume + " takes no files; the next 'ndock registry deploy' restores them"},
		{Title: "container", Do: d.sweepNew, ByHand: "docker rm -f " + containerName},
	}
	if d.old == nil {
		return append(steps, rollback.Step{Title: "volume", Do: d.dropConfig, ByHand: "docker volume rm " + configVolume})
	}
	d.Report.Step("putting back the container that was there")
	return append(steps,
		rollback.Step{Title: "name", Do: d.restoreName, ByHand: "docker rename " + d.old.ID + " " + containerName},
		rollback.Step{Title: "start", Do: d.restartOld, ByHand: "docker start " + d.old.ID},
	)
}

// restoreConfig writes the files that were there. Without a container from before, the record of them goes with the
// new one, through which alone it can be removed.
func (d *inContainer) restoreConfig(ctx context.Context) error {
	if d.wrote {
		id := d.id
		if d.old != nil {
			id = d.old.ID
		}
		if err := writeConfig(ctx, d.engine, id, d.kept.revertTo(d.files)); err != nil {
			return err
		}
	}
	if d.old != nil || !d.noted {
		return nil
	}
	return writeConfig(ctx, d.engine, d.id, files{fileBefore: nil})
}

func (d *inContainer) forget(ctx context.Context) error {
	if d.old == nil || !d.noted {
		return nil
	}
	return writeConfig(ctx, d.engine, d.old.ID, files{fileBefore: nil})
}

func (d *inContainer) sweepNew(ctx context.Context) error {
	if d.old != nil {
		return removeOthers(ctx, d.engine, d.old.ID)
	}
	return removeOthers(ctx, d.engine, "")
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

func (d *inContainer) restoreName(ctx context.Context) error {
	now, err := d.engine.ContainerInspect(ctx, d.old.ID)
	if err == nil && now.Name != "/"+containerName {
		err = d.engine.ContainerRename(ctx, d.old.ID, containerName)
	}
	return explain("rename container "+backupName+" to "+containerName, err)
}

func (d *inContainer) restartOld(ctx context.Context) error {
	if !d.old.State.Running {
		return nil
	}
	return d.startContainer(ctx, d.old.ID)
}

// putBack ends the new service first, because the files and the unit of the old one are for that one.
func (d *asService) putBack() []rollback.Step {
	steps := []rollback.Step{
		{Title: "stop", Do: d.end, ByHand: "systemctl stop " + serviceName},
		{Title: "start with the machine", Do: d.disable, ByHand: "systemctl disable " + serviceName},
		{Title: "unit", Do: d.restoreUnit, ByHand: "rm /" + unitPath},
		{Title: "systemd", Do: d.systemd.reload, ByHand: "systemctl daemon-reload"},
		{Title: "configuration", Do: d.restoreFiles, ByHand: "rm -r /" + configPath},
	}
	if d.old == nil {
		return steps
	}
	d.Report.Step("putting back the service that was there")
	again := "see to why /" + configPath + " and /" + unitPath + " cannot be written; the next 'ndock registry deploy --systemd' restores them"
	steps[2].ByHand, steps[4].ByHand = again, again
	return append(steps, rollback.Step{Title: "start", Do: d.restart, ByHand: "systemctl start " + serviceName})
}

func (d *asService) end(ctx context.Context) error {
	if !d.systemd.there(unitPath) {
		return nil
	}
	err := d.systemd.control(ctx, "stop")
	d.systemd.control(ctx, "reset-failed") // which is an error where nothing had failed
	return err
}

func (d *asService) disable(ctx context.Context) error {
	if d.was.enabled || !d.systemd.there(unitPath) {
		return nil
	}
	return d.systemd.control(ctx, "disable")
}

// restoreUnit puts the old unit back, or none.
func (d *asService) restoreUnit(context.Context) error { return d.systemd.writeUnit(d.old) }

// restoreFiles leaves no secrets behind where there was no registry before.
func (d *asService) restoreFiles(context.Context) error {
	if d.foundNothing() {
		return denied("remove the registry's configuration", os.RemoveAll(d.systemd.path(configPath)))
	}
	return d.systemd.writeFiles(d.kept.revertTo(d.files))
}

func (d *asService) forget(ctx context.Context) error {
	if d.foundNothing() {
		return nil
	}
	return d.commit(ctx)
}

// foundNothing tells whether there was neither a service nor its configuration before.
func (d *asService) foundNothing() bool { return d.old == nil && len(d.kept) == 0 }

func (d *asService) restart(ctx context.Context) error {
	if !d.was.runs() {
		return nil
	}
	return d.systemd.control(ctx, "start")
}

// discard ends and removes a container; its volumes stay. One that is gone already is no fault, and one that does not
// end in time is killed.
func discard(ctx context.Context, engine Engine, id string) error {
	engine.ContainerStop(ctx, id, container.StopOptions{}) // and if that fails, removing says why
	err := engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return explain("remove container "+id, err)
}
