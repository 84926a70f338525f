package registry

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
)

// RemoveOptions are what removing can be told.
type RemoveOptions struct {
	Data bool // what was pushed, too

	CertsDir string // where Docker on this host trusts the registry; CertsDir when empty
	Report   Reporter
}

// Remove takes away what Deploy made, and the data too if it is told to. What is not there is no fault.
func Remove(ctx context.Context, host Host, o RemoveOptions) error {
	if o.CertsDir == "" {
		o.CertsDir = CertsDir
	}
	service := serviceRemoval{RemoveOptions: o, systemd: host.Systemd}
	unit, err := host.Systemd.unit()
	switch {
	case err != nil:
		return err
	case unit != nil:
		return service.run(ctx)
	}
	found, err := inspect(ctx, host.Engine)
	if left := service.left(); found == nil && left && (err == nil || noEngine(err)) {
		if failed := service.run(ctx); failed != nil || err != nil {
			return failed
		}
	}
	if err != nil {
		return err
	}
	r := removal{RemoveOptions: o, engine: host.Engine}
	return inOrder(ctx, r.trust, r.containers, r.volumes, r.images)
}

func (o RemoveOptions) distrust(ca []byte) error {
	changed, err := trust{o.CertsDir}.sync(o.Report, nil, ca)
	if len(changed) > 0 {
		o.Report.Step("Docker on this host no longer trusts the registry's CA")
	}
	return err
}

type removal struct {
	RemoveOptions
	engine Engine
}

// trust comes first, because the config volume alone knows which CA is to go.
func (r removal) trust(ctx context.Context) error {
	found, err := inspect(ctx, r.engine)
	if err != nil {
		return err
	}
	var config files
	if found != nil {
		config, err = readConfig(ctx, r.engine, found.ID)
	} else {
		config, err = r.salvage(ctx)
	}
	if err != nil {
		return err
	}
	return r.distrust(config[fileCA])
}

// salvage takes any image of ours, or, where a stock registry was, of anybody's: it is not run.
func (r removal) salvage(ctx context.Context) (files, error) {
	found, err := images(ctx, r.engine, labelBinary)
	if err == nil && len(found) == 0 {
		found, err = r.engine.ImageList(ctx, image.ListOptions{})
		err = explain("look for an image to read volume "+configVolume+" with", err)
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return salvageConfig(ctx, r.engine, found[0].ID)
}

func (r removal) containers(ctx context.Context) error {
	found, err := inspect(ctx, r.engine)
	if err != nil {
		return err
	}
	if found != nil {
		r.Report.Step("removing container %s", containerName)
	}
	return sweep(ctx, r.engine, "")
}

func (r removal) volumes(ctx context.Context) error {
	if err := r.volume(ctx, configVolume); err != nil {
		return err
	}
	if r.Data {
		return r.volume(ctx, dataVolume)
	}
	if _, err := r.engine.VolumeInspect(ctx, dataVolume); err == nil {
		r.Report.Step("volume %s stays, with what was pushed; --data removes it", dataVolume)
	}
	return nil
}

func (r removal) volume(ctx context.Context, name string) error {
	err := r.engine.VolumeRemove(ctx, name, false)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err == nil {
		r.Report.Step("removed volume %s", name)
	}
	return explain("remove volume "+name, err)
}

func (r removal) images(ctx context.Context) error { return sweepImages(ctx, r.engine, "") }
