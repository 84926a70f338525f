package deploy

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"ndock/registry"
	"ndock/registry/internal/rollback"
	"ndock/registry/trust"
)

// RemoveOptions are those of a removal.
type RemoveOptions struct {
	Data bool // what was pushed, too

	CertsDir string // where Docker on this host trusts the registry; CertsDir when empty
	Report   registry.Reporter
}

// Remove takes away what Run has made, and the data too if it is told to. It ignores what is not there.
func Remove(ctx context.Context, host Host, o RemoveOptions) error {
	if o.CertsDir == "" {
		o.CertsDir = trust.CertsDir
	}
	service := &serviceRemoval{RemoveOptions: o, systemd: host.Systemd}
	unit, err := host.Systemd.unit()
	switch {
	case err != nil:
		return err
	case unit != nil:
		return service.run(ctx)
	}
	found, err := inspectContainer(ctx, host.Engine)
	if left := service.left(); found == nil && left && (err == nil || noEngine(err)) {
		if failed := service.run(ctx); failed != nil || err != nil {
			return failed
		}
	}
	if err != nil {
		return err
	}
	return (&removal{RemoveOptions: o, engine: host.Engine}).run(ctx)
}

// removeLimit is how long one step of a removal may take. The registry's end may take long.
const removeLimit = 15 * time.Minute

// all takes the steps, and goes on past those that fail.
func (o RemoveOptions) all(ctx context.Context, steps []rollback.Step) error {
	if failed := rollback.Run(ctx, o.Report, "remove", removeLimit, steps); len(failed) > 0 {
		return &registry.Error{Op: "remove the registry", Err: rollback.Join(failed), Help: "do by hand what is said to be left, or see to what kept it from being done and run the command again"}
	}
	return nil
}

// errStays is why something is not removed yet, because it would be missed.
func errStays(because string) error { return errors.New("it stays until " + because) }

// removeTrust removes the CA from what Docker trusts, and the CA of a registry that a killed deployment has replaced.
func (o RemoveOptions) removeTrust(config files) error {
	for _, ca := range [][]byte{config[fileCA], config.settled()[fileCA]} {
		changed, err := trust.Certs{Dir: o.CertsDir}.Sync(o.Report, nil, ca)
		if err != nil {
			return err
		}
		if len(changed) > 0 {
			o.Report.Step("Docker on this host no longer trusts the registry's CA")
		}
	}
	return nil
}

type removal struct {
	RemoveOptions
	engine Engine

	untrusted, ended bool // so that the configuration, and the data, are needed no more
}

func (r *removal) run(ctx context.Context) error {
	return r.all(ctx, []rollback.Step{
		{Title: "trust", Do: r.trust, ByHand: "take the CA of ndock out of the files in " + r.CertsDir},
		{Title: "container", Do: r.containers, ByHand: "docker rm -f " + containerName},
		{Title: "configuration", Do: r.config, ByHand: "docker volume rm " + configVolume},
		{Title: "data", Do: r.data, ByHand: "docker volume rm " + dataVolume},
		{Title: "image", Do: r.images, ByHand: "docker rmi the images that 'docker images " + imageName + "' shows"},
	})
}

// trust comes first, because only the config volume tells which CA is to go.
func (r *removal) trust(ctx context.Context) error {
	found, err := inspectContainer(ctx, r.engine)
	if err != nil {
		return err
	}
	var config files
	if found != nil {
		config, err = readConfig(ctx, r.engine, found.ID)
	} else {
		config, err = r.recoverFiles(ctx)
	}
	if err != nil {
		return err
	}
	err = r.removeTrust(config)
	r.untrusted = err == nil
	return err
}

// recoverFiles reads the volume of a container that somebody has removed. Any image does: it is not run.
func (r *removal) recoverFiles(ctx context.Context) (files, error) {
	found, err := images(ctx, r.engine, labelBinary)
	if err == nil && len(found) == 0 {
		found, err = r.engine.ImageList(ctx, image.ListOptions{})
		err = explain("look for an image to read volume "+configVolume+" with", err)
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return recoverConfig(ctx, r.engine, found[0].ID)
}

func (r *removal) containers(ctx context.Context) error {
	found, err := inspectContainer(ctx, r.engine)
	if err != nil {
		return err
	}
	if found != nil {
		r.Report.Step("removing container %s", containerName)
	}
	err = removeOthers(ctx, r.engine, "")
	r.ended = err == nil
	return err
}

func (r *removal) config(ctx context.Context) error {
	switch {
	case !r.ended:
		return errStays("the container is removed")
	case !r.untrusted:
		return errStays("this host trusts its CA no more, which stands there alone")
	}
	return r.volume(ctx, configVolume)
}

func (r *removal) data(ctx context.Context) error {
	switch {
	case r.Data && !r.ended:
		return errStays("the container is removed")
	case r.Data:
		return r.volume(ctx, dataVolume)
	}
	if _, err := r.engine.VolumeInspect(ctx, dataVolume); err == nil {
		r.Report.Step("volume %s stays, with what was pushed; --data removes it", dataVolume)
	}
	return nil
}

func (r *removal) volume(ctx context.Context, name string) error {
	err := r.engine.VolumeRemove(ctx, name, false)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.Report.Step("removed volume %s", name)
	}
	return explain("remove volume "+name, err)
}

func (r *removal) images(ctx context.Context) error { return removeOtherImages(ctx, r.engine, "") }
