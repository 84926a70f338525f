package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // the login that we configure
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage that we configure

	"ndock/registry/durable"
)

const (
	drainTime = 25 * time.Second
	pageSize  = 1000 // most repositories or tags in one answer; distribution's default for its own configuration files
)

// newHandler makes distribution's registry. The function ends what it has running.
func newHandler(ctx context.Context, o ServeOptions, gate *gate) (http.Handler, func(), error) {
	if o.Htpasswd != "" {
		if err := checkLogins(o.Htpasswd); err != nil {
			return nil, nil, err
		}
	}
	if err := writable(o.Data); err != nil {
		return nil, nil, fmt.Errorf("use %q for data: %w", o.Data, err)
	}
	redirectLog(o.Log)
	app, err := newApp(ctx, o)
	if err != nil {
		return nil, nil, fmt.Errorf("set up the registry in %q: %w", o.Data, err)
	}
	stop := func() { app.Shutdown() } // it can only fail to close a pull-through cache; we have none
	return accessLog(gate.wrap(app), o.Log), stop, nil
}

// newApp turns the panics, by which distribution refuses a configuration, into errors.
func newApp(ctx context.Context, o ServeOptions) (app *handlers.App, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	config, err := o.configuration()
	if err != nil {
		return nil, err
	}
	return handlers.NewApp(ctx, config), nil
}

// configuration is distribution's. It has no cache of blobs: that would say that a blob is there which garbage
// collection, here or in another process on the same storage, has removed.
func (o ServeOptions) configuration() (*configuration.Configuration, error) {
	lasting, err := durable.Middleware(o.Data)
	if err != nil {
		return nil, err
	}
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": o.Data},
			"delete":     {"enabled": true},
		},
		Catalog: configuration.Catalog{MaxEntries: pageSize},
		Tags:    configuration.Tags{MaxTags: pageSize},

		Middleware: map[string][]configuration.Middleware{"storage": {lasting}},
	}
	c.HTTP.Addr = o.Listen
	c.HTTP.Secret = rand.Text() // signs the state of uploads, which do not outlive the process
	if o.Htpasswd != "" {
		c.Auth = configuration.Auth{"htpasswd": {"realm": "ndock registry", "path": o.Htpasswd}}
	}
	return c, nil
}

// writable makes the directory if need be, and tries it, because distribution would only notice at the first push.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".ndock-")
	if err != nil {
		return err
	}
	probe.Close()
	return os.Remove(probe.Name())
}
