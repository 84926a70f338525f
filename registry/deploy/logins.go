package deploy

import (
	"context"
	"errors"
	"fmt"

	"ndock/registry"
	"ndock/registry/auth/htpasswd"
)

type logins struct{ host Host }

// Read implements htpasswd.Logins.
func (d logins) Read(ctx context.Context) ([]byte, error) {
	config, err := d.config(ctx)
	if err != nil {
		return nil, err
	}
	if _, broken := config.recordedFiles(); broken {
		return nil, errInterrupted
	}
	if by := config.auth(); by != "" && by != "htpasswd" {
		return nil, fmt.Errorf("the registry asks %s who may log in", by)
	}
	if len(config[fileHtpasswd]) == 0 { // it does not look for any
		return nil, &registry.Error{Err: errors.New("the registry lets in anyone"), Help: "'ndock registry deploy --user NAME --password-stdin' has it ask for logins"}
	}
	return config[fileHtpasswd], nil
}

func (d logins) config(ctx context.Context) (files, error) {
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

// Write implements htpasswd.Logins.
func (d logins) Write(ctx context.Context, text []byte) error {
	if unit, err := d.host.Systemd.unit(); err != nil || unit != nil {
		return errors.Join(err, d.host.Systemd.writeFiles(files{fileHtpasswd: text}))
	}
	id, err := d.container(ctx)
	if err != nil {
		return err
	}
	return writeConfig(ctx, d.host.Engine, id, files{fileHtpasswd: text})
}

func (d logins) container(ctx context.Context) (string, error) {
	found, err := inspectContainer(ctx, d.host.Engine)
	if err == nil && found == nil {
		err = &registry.Error{Err: errors.New("there is no registry on this host"), Help: "'ndock registry deploy' makes one; --htpasswd names the file of another one"}
	}
	if err != nil {
		return "", err
	}
	return found.ID, nil
}

// Logins returns the logins of this host's registry.
func Logins(host Host) htpasswd.Logins { return logins{host} }
