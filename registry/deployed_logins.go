package registry

import (
	"context"
	"errors"
	"fmt"
)

type deployedLogins struct{ host Host }

func (d deployedLogins) read(ctx context.Context) ([]byte, error) {
	config, err := d.config(ctx)
	if err != nil {
		return nil, err
	}
	if _, broken := config.before(); broken {
		return nil, errBrokenOff
	}
	if by := config.auth(); by != "" && by != "htpasswd" {
		return nil, fmt.Errorf("the registry asks %s who may log in", by)
	}
	if len(config[fileHtpasswd]) == 0 { // it does not look for any
		return nil, &Error{Err: errors.New("the registry lets in anyone"), hint: "'ndock registry deploy --user NAME --password-stdin' has it ask for logins"}
	}
	return config[fileHtpasswd], nil
}

func (d deployedLogins) config(ctx context.Context) (files, error) {
	unit, err := d.host.Systemd.unit()
	switch {
	case err != nil:
		return nil, err
	case unit != nil:
		return d.host.Systemd.readFiles()
	}
	id, err := d.container(ctx)
	if err != nil {
		return nil, err
	}
	return readConfig(ctx, d.host.Engine, id)
}

func (d deployedLogins) write(ctx context.Context, text []byte) error {
	if unit, err := d.host.Systemd.unit(); err != nil || unit != nil {
		return errors.Join(err, d.host.Systemd.writeFiles(files{fileHtpasswd: text}))
	}
	id, err := d.container(ctx)
	if err != nil {
		return err
	}
	return writeConfig(ctx, d.host.Engine, id, files{fileHtpasswd: text})
}

func (d deployedLogins) container(ctx context.Context) (string, error) {
	found, err := inspect(ctx, d.host.Engine)
	if err == nil && found == nil {
		err = &Error{Err: errors.New("there is no registry on this host"), hint: "'ndock registry deploy' makes one; --htpasswd names the file of another one"}
	}
	if err != nil {
		return "", err
	}
	return found.ID, nil
}

// DeployedLogins are those of the registry of this host.
func DeployedLogins(host Host) Logins { return deployedLogins{host} }
