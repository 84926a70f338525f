package registry

import (
	"context"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/docker/docker/api/types/container"
)

// Deploy makes the engine run the registry that the options describe, in the place of one that is there already;
// what was pushed stays, and so do the login and the CA where the options name no other. When all is as it shall
// be, nothing is touched. When it fails, the registry that was there is put back.
func Deploy(ctx context.Context, engine Engine, o DeployOptions) (Status, error) {
	d, err := newDeployment(engine, o)
	if err != nil {
		return Status{}, err
	}
	defer d.program.file.Close()
	if err := d.run(ctx); err != nil {
		return Status{}, err
	}
	return Find(ctx, engine)
}

// deployment is what is known, step by step, while deploying.
type deployment struct {
	DeployOptions
	engine  Engine
	at      address
	given   pair
	program *executable

	said       *configuration.Configuration // by the operator's file, and then by the options
	keystoneCA []byte

	image   string                     // to run
	stockID string                     // its id, if the operator named it
	old     *container.InspectResponse // what is there, if anything
	kept    files                      // what is in the config volume
	files   files                      // what shall be in it
	spec    spec                       // of the container that shall be there
	id      string                     // of the new container
}

// newDeployment looks at all that can be wrong before the engine is asked for anything.
func newDeployment(engine Engine, o DeployOptions) (*deployment, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	d := &deployment{DeployOptions: o.withDefaults(), engine: engine}
	var err error
	if err := d.readConfiguration(); err != nil {
		return nil, err
	}
	if d.at, err = parseClientAddress(d.Listen); err != nil {
		return nil, err
	}
	if o.CertFile != "" {
		if d.given, err = readPair(o.CertFile, o.KeyFile, time.Now()); err != nil {
			return nil, err
		}
	}
	if d.Image != "" {
		d.program = &executable{} // none
		return d, nil
	}
	d.program, err = openExecutable(o.Binary)
	return d, err
}

func (d *deployment) run(ctx context.Context) error {
	if err := inOrder(ctx, d.look, d.checkPort, d.ensureImage, d.readConfig, d.decide); err != nil {
		return err
	}
	if d.upToDate() {
		return d.confirm()
	}
	if err := inOrder(ctx, d.create, d.configure, d.start, d.wait, d.trust); err != nil {
		return d.undo(ctx, err)
	}
	d.Report.Step("registry %s is up", d.spec.Config.Labels[labelURL])
	return d.tidy(ctx)
}

// tidy removes what the new container and its image have replaced.
func (d *deployment) tidy(ctx context.Context) error {
	if err := sweep(ctx, d.engine, d.id); err != nil {
		return err
	}
	return sweepImages(ctx, d.engine, d.program.digest)
}

func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *deployment) look(ctx context.Context) (err error) {
	d.old, err = inspect(ctx, d.engine)
	return err
}

func (d *deployment) ensureImage(ctx context.Context) (err error) {
	if d.Image != "" {
		return d.ensureStock(ctx)
	}
	d.image, err = ensureImage(ctx, d.engine, d.program, d.Version, d.Report)
	return err
}

func (d *deployment) readConfig(ctx context.Context) (err error) {
	if d.old != nil {
		d.kept, err = readConfig(ctx, d.engine, d.old.ID)
	} else {
		d.kept, err = salvageConfig(ctx, d.engine, d.image)
	}
	return err
}

// upToDate tells whether the registry that is there was made by the same options from the same program.
func (d *deployment) upToDate() bool {
	return d.old != nil && d.old.State.Running &&
		d.old.Config.Labels[labelSpec] == d.spec.Config.Labels[labelSpec] && d.kept.hold(d.files)
}

// confirm mends what does not take a new container: the trust of this host.
func (d *deployment) confirm() error {
	changed, err := d.syncTrust()
	if err == nil && !changed {
		d.Report.Step("registry %s is as it shall be; nothing to do", d.spec.Config.Labels[labelURL])
	}
	return err
}
