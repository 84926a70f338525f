package deploy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"ndock/registry"
	"ndock/registry/internal/rollback"
)

// containerTarget is a registry in a container of an engine.
type containerTarget struct {
	engine  Engine
	systemd Systemd // which may have the registry already
	program *executable
	version string
	report  registry.Reporter
}

var _ target = containerTarget{}

// inspect implements target. A deployment that was killed has left the renamed container of before, or a record of the
// old files beside the new ones.
func (c containerTarget) inspect(ctx context.Context) (state, *interrupted, error) {
	switch unit, err := c.systemd.unit(); {
	case err != nil:
		return state{}, nil, err
	case unit != nil:
		return state{}, nil, otherKind("as a container", "a service of this host", unitData(unit))
	}
	there, err := inspectContainer(ctx, c.engine)
	if err != nil {
		return state{}, nil, err
	}
	backup, err := inspectNamed(ctx, c.engine, backupName)
	if err != nil {
		return state{}, nil, err
	}
	at := cmp.Or(backup, there)
	if at == nil {
		return state{}, nil, nil
	}
	kept, err := readConfig(ctx, c.engine, at.ID)
	if err != nil {
		return state{}, nil, err
	}
	before, broken := kept.recordedFiles()
	if !broken && (backup == nil || there != nil) { // a container that is left over is removed later
		return containerState(there, kept), nil, nil
	}
	left := &interrupted{before: containerState(at, before), files: kept.withoutRecord(), done: progress{recorded: broken, wrote: broken}}
	left.before.running = true
	if !broken {
		left.before.files = left.files
	}
	return containerState(there, kept), left, nil
}

// containerState returns the registry of a container that has these files; none without a container.
func containerState(found *container.InspectResponse, kept files) state {
	if found == nil {
		return state{}
	}
	labels := found.Config.Labels
	return state{
		id: found.ID, running: found.State.Running, enabled: true,
		listen: labels[labelListen], tls: labels[labelTLS], made: labels[labelSpec], files: kept,
	}
}

// prepare implements target. It makes the image, and reads with it the volume of a container that somebody has removed. The
// volume of a container that is there it reads again: logins may have changed while the image was made.
func (c containerTarget) prepare(ctx context.Context, current state) (image string, kept files, err error) {
	image, err = ensureImage(ctx, c.engine, c.program, c.version, c.report)
	if err != nil {
		return "", nil, err
	}
	if current.exists() {
		kept, err = readConfig(ctx, c.engine, current.id)
	} else {
		kept, err = recoverConfig(ctx, c.engine, image)
	}
	return image, kept.settled(), err
}

// made implements target.
func (c containerTarget) made(wanted plan) (string, error) {
	return newSpec(wanted).Config.Labels[labelSpec], nil
}

// apply implements target. The old container stays, stopped and under another name, until commit and cleanUp.
func (c containerTarget) apply(ctx context.Context, current state, wanted plan) (done progress, err error) {
	err = inOrder(ctx,
		wanted.whole(func(ctx context.Context) (err error) { done, err = c.create(ctx, current, wanted); return err }),
		wanted.whole(func(ctx context.Context) (err error) { done, err = c.configure(ctx, current, wanted, done); return err }),
		wanted.whole(func(ctx context.Context) error { return c.start(ctx, done.id) }),
	)
	return done, err
}

// backupName is the name of the old container until the new one answers.
const backupName = containerName + "-before"

// create stops and renames the old container, and makes the new one, which does not run yet.
func (c containerTarget) create(ctx context.Context, current state, wanted plan) (done progress, err error) {
	if current.exists() {
		done.recorded = true
		if err := c.record(ctx, current.id, current.files); err != nil {
			return done, err
		}
	}
	if err := c.backUp(ctx, current); err != nil {
		return done, err
	}
	spec := newSpec(wanted)
	made, err := c.engine.ContainerCreate(ctx, spec.Config, spec.Host, nil, nil, containerName)
	done.id = made.ID
	return done, explain("make container "+containerName, err)
}

func (c containerTarget) backUp(ctx context.Context, current state) error {
	if !current.exists() {
		return removeOthers(ctx, c.engine, "")
	}
	c.report.Step("replacing container %s", containerName)
	if err := removeOthers(ctx, c.engine, current.id); err != nil {
		return err
	}
	if err := c.engine.ContainerStop(ctx, current.id, container.StopOptions{}); err != nil {
		return explain("stop container "+containerName, err)
	}
	return explain("rename container "+containerName+" to "+backupName, c.engine.ContainerRename(ctx, current.id, backupName))
}

// record keeps the old files in the volume until commit.
func (c containerTarget) record(ctx context.Context, id string, kept files) error {
	record, err := kept.recorded()
	if err != nil {
		return err
	}
	return writeConfig(ctx, c.engine, id, record)
}

// configure writes the files of the new registry.
func (c containerTarget) configure(ctx context.Context, current state, wanted plan, done progress) (progress, error) {
	if !done.recorded && len(current.files) > 0 {
		done.recorded = true
		if err := c.record(ctx, done.id, current.files); err != nil {
			return done, err
		}
	}
	done.wrote = true
	return done, writeConfig(ctx, c.engine, done.id, wanted.files)
}

func (c containerTarget) start(ctx context.Context, id string) error {
	return explain("start container "+containerName, c.engine.ContainerStart(ctx, id, container.StartOptions{}))
}

// alive implements target. The engine restarts a container that ends, so that it may run again by now.
func (c containerTarget) alive(ctx context.Context, done progress) error {
	now, err := c.engine.ContainerInspect(ctx, done.id)
	switch {
	case err != nil:
		return explain("look at the registry", err)
	case now.State.Running && !now.State.Restarting && now.RestartCount == 0:
		return nil
	}
	ended := fmt.Sprintf("it ended with status %d", now.State.ExitCode)
	if now.State.Running && !now.State.Restarting { // it was started again, and no status is told any more
		ended = "it ended"
	}
	return fmt.Errorf("start the registry: %s%s", ended, c.logTail(ctx, done))
}

// logTail implements target.
func (c containerTarget) logTail(ctx context.Context, done progress) string {
	log, err := c.engine.ContainerLogs(ctx, done.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "100"})
	if err != nil {
		return ""
	}
	defer log.Close()
	var text bytes.Buffer
	stdcopy.StdCopy(&text, &text, io.LimitReader(log, 1<<16)) // part of it is better than nothing
	return lastLine(text.String())
}

// commit implements target.
func (c containerTarget) commit(ctx context.Context, done progress) error {
	if !done.recorded {
		return nil
	}
	return writeConfig(ctx, c.engine, done.id, files{fileRecord: nil})
}

// cleanUp implements target.
func (c containerTarget) cleanUp(ctx context.Context, done progress) error {
	if err := removeOthers(ctx, c.engine, done.id); err != nil {
		return err
	}
	return removeOtherImages(ctx, c.engine, c.program.digest)
}

// restore implements target. The configuration comes first, because the old container starts with it.
func (c containerTarget) restore(current state, written files, done progress) []rollback.Step {
	forget := rollback.Step{Title: "remove " + fileRecord, ByHand: removedLater, Do: func(ctx context.Context) error {
		if !current.exists() || !done.recorded {
			return nil
		}
		return writeConfig(ctx, c.engine, current.id, files{fileRecord: nil})
	}}
	steps := []rollback.Step{
		{
			Title: "configuration", ByHand: "see to why volume " + configVolume + " takes no files; the next 'ndock registry deploy' restores them",
			Do: func(ctx context.Context) error { return c.restoreConfig(ctx, current, written, done) },
		},
		{
			Title: "container", ByHand: "docker rm -f " + containerName,
			Do: func(ctx context.Context) error { return removeOthers(ctx, c.engine, current.id) },
		},
	}
	if !current.exists() {
		return append(steps, rollback.Step{
			Title: "volume", ByHand: "docker volume rm " + configVolume,
			Do: func(ctx context.Context) error { return c.dropConfig(ctx, current) },
		}, forget)
	}
	c.report.Step("putting back the container that was there")
	return append(steps, rollback.Step{
		Title: "name", ByHand: "docker rename " + current.id + " " + containerName,
		Do: func(ctx context.Context) error { return c.restoreName(ctx, current.id) },
	}, rollback.Step{
		Title: "start", ByHand: "docker start " + current.id,
		Do: func(ctx context.Context) error {
			if !current.running {
				return nil
			}
			return c.start(ctx, current.id)
		},
	}, forget)
}

// restoreConfig writes the old files. Without an old container it also removes the record of them, through the new
// container: there will be no other.
func (c containerTarget) restoreConfig(ctx context.Context, current state, written files, done progress) error {
	if done.wrote {
		if err := writeConfig(ctx, c.engine, cmp.Or(current.id, done.id), current.files.revertTo(written)); err != nil {
			return err
		}
	}
	if current.exists() || !done.recorded {
		return nil
	}
	return writeConfig(ctx, c.engine, done.id, files{fileRecord: nil})
}

// dropConfig removes the volume where there was no registry before: it has secrets in it.
func (c containerTarget) dropConfig(ctx context.Context, current state) error {
	if len(current.files) > 0 {
		return nil
	}
	err := c.engine.VolumeRemove(ctx, configVolume, false)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return explain("remove volume "+configVolume, err)
}

func (c containerTarget) restoreName(ctx context.Context, id string) error {
	now, err := c.engine.ContainerInspect(ctx, id)
	if err == nil && now.Name != "/"+containerName {
		err = c.engine.ContainerRename(ctx, id, containerName)
	}
	return explain("rename container "+backupName+" to "+containerName, err)
}

// inspectContainer returns the registry's container, or nil when there is none.
func inspectContainer(ctx context.Context, engine Engine) (*container.InspectResponse, error) {
	return inspectNamed(ctx, engine, containerName)
}

func inspectNamed(ctx context.Context, engine Engine, name string) (*container.InspectResponse, error) {
	found, err := engine.ContainerInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, explain("look for the registry", err)
	case found.Config.Labels[labelRegistry] == "":
		return nil, &registry.Error{
			Op:   fmt.Sprintf("look at container %q", name),
			Err:  errors.New("it is not a registry of ndock"),
			Help: "give it another name with 'docker rename'",
		}
	}
	return &found, nil
}

// removeOthers removes all containers of ndock's registry but one: the old one, and what a killed ndock has left.
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
		if err := removeContainer(ctx, engine, one.ID); err != nil {
			failed = append(failed, err)
		}
	}
	return rollback.Join(failed)
}

// removeContainer stops and removes a container; its volumes stay. One that does not stop in time is killed.
func removeContainer(ctx context.Context, engine Engine, id string) error {
	engine.ContainerStop(ctx, id, container.StopOptions{}) // and if that fails, removing says why
	err := engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return explain("remove container "+id, err)
}
