package deploy

import (
	"context"
	"errors"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/pki"
	"ndock/registry/trust"
)

// Run makes the host run the registry that the options describe, in the place of one that is there already;
// what was pushed stays, and so do the login and the CA where the options name no other. When all is as it shall
// be, nothing is touched. When it fails, the registry that was there is put back.
func Run(ctx context.Context, host Host, o Options) (Status, error) {
	d, err := newDeployment(host, o)
	if err != nil {
		return Status{}, err
	}
	defer d.program.file.Close()
	if err := d.run(ctx); err != nil {
		return Status{}, err
	}
	return Find(ctx, host)
}

// deployment is what is known, step by step, while deploying.
type deployment struct {
	Options
	place   place
	at      config.Address
	given   pki.Pair
	program *executable

	said       *configuration.Configuration // by the operator's file, and then by the options
	keystoneCA []byte

	kept  files // what is configured
	files files // what shall be

	recovered bool // whether what is there was put back just now

	trusted []trust.Edit // what this host was made to trust, or to trust no more
}

// patience is how many seconds the registry's end may take.
func (d *deployment) patience() int {
	return int((max(config.DefaultDrain, d.said.HTTP.DrainTimeout) + 5*time.Second).Seconds())
}

// newDeployment looks at all that can be wrong before the engine, or systemd, is asked for anything.
func newDeployment(host Host, o Options) (*deployment, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	d := &deployment{Options: o.withDefaults()}
	d.place = host.place(d)
	var err error
	if err := d.readConfiguration(); err != nil {
		return nil, err
	}
	if d.at, err = config.ParseClientAddress(d.Listen); err != nil {
		return nil, err
	}
	if o.CertFile != "" {
		if d.given, err = pki.ReadPair(o.CertFile, o.KeyFile, time.Now()); err != nil {
			return nil, err
		}
	}
	d.program, err = openExecutable(o.Binary, d.place.runs)
	return d, err
}

func (d *deployment) run(ctx context.Context) error {
	if err := inOrder(ctx, d.place.look, d.whole(d.place.recover), d.checkPort, d.place.prepare, d.place.readConfig, d.decide); err != nil {
		return err
	}
	if d.place.upToDate() {
		return d.confirm(ctx)
	}
	err := inOrder(ctx, d.whole(d.place.create), d.whole(d.place.configure), d.whole(d.place.start), d.wait, d.trust, d.whole(d.place.commit))
	if err != nil {
		return d.undo(ctx, err)
	}
	d.Report.Step("registry %s is up", d.url())
	return d.place.tidy(ctx)
}

// inOrder runs the steps until one fails or the context ends.
func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// confirm mends what does not take a new registry: the trust of this host.
func (d *deployment) confirm(ctx context.Context) error {
	err := d.trust(ctx)
	if err == nil && d.recovered { // and may be starting still
		err = d.waitFor(ctx, func(context.Context) error { return nil })
	}
	if err == nil && len(d.trusted) == 0 {
		d.Report.Step("registry %s is as it shall be; nothing to do", d.url())
	}
	return err
}

// checkPort asks before anything is made or stopped. The port of the registry that is there is free for its successor.
func (d *deployment) checkPort(ctx context.Context) error {
	if at, err := config.ParseAddress(d.place.listens()); err == nil && at.Port == d.at.Port {
		return nil
	}
	listener, err := config.Listen(ctx, d.Listen)
	var taken *registry.Error
	switch {
	case err == nil:
		return listener.Close()
	case errors.As(err, &taken):
		return err
	}
	return nil // an address that this host has not: the engine may be on another
}
