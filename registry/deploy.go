package registry

import (
	"context"
	"time"

	"github.com/distribution/distribution/v3/configuration"
)

// Deploy makes the host run the registry that the options describe, in the place of one that is there already;
// what was pushed stays, and so do the login and the CA where the options name no other. When all is as it shall
// be, nothing is touched. When it fails, the registry that was there is put back.
func Deploy(ctx context.Context, host Host, o DeployOptions) (Status, error) {
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
	DeployOptions
	place   place
	at      address
	given   pair
	program *executable

	said       *configuration.Configuration // by the operator's file, and then by the options
	keystoneCA []byte

	kept  files // what is configured
	files files // what shall be
}

// patience is how many seconds the registry's end may take.
func (d *deployment) patience() int {
	return int((max(drainTime, d.said.HTTP.DrainTimeout) + 5*time.Second).Seconds())
}

// newDeployment looks at all that can be wrong before the engine, or systemd, is asked for anything.
func newDeployment(host Host, o DeployOptions) (*deployment, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	d := &deployment{DeployOptions: o.withDefaults()}
	d.place = host.place(d)
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
	d.program, err = openExecutable(o.Binary, d.place.runs)
	return d, err
}

func (d *deployment) run(ctx context.Context) error {
	if err := inOrder(ctx, d.place.look, d.checkPort, d.place.prepare, d.place.readConfig, d.decide); err != nil {
		return err
	}
	if d.place.upToDate() {
		return d.confirm()
	}
	if err := inOrder(ctx, d.place.create, d.place.configure, d.place.start, d.wait, d.trust); err != nil {
		return d.undo(ctx, err)
	}
	d.Report.Step("registry %s is up", d.url())
	return d.place.tidy(ctx)
}

func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// confirm mends what does not take a new registry: the trust of this host.
func (d *deployment) confirm() error {
	changed, err := d.syncTrust()
	if err == nil && !changed {
		d.Report.Step("registry %s is as it shall be; nothing to do", d.url())
	}
	return err
}

func (d *deployment) trust(context.Context) error {
	_, err := d.syncTrust()
	return err
}

// distrust takes back what trust did; what Docker trusted before, putBack's registry has it trust again.
func (d *deployment) distrust(context.Context) error {
	_, err := trust{d.CertsDir}.sync(nil, d.files[fileCA])
	return err
}
