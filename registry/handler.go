package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage that we configure

	"ndock/registry/access"
)

const (
	drainTime = 25 * time.Second
	pageSize  = 1000 // most repositories or tags in one answer; distribution's default for its own configuration files
)

// newHandler makes distribution's registry. The function ends what it has running.
func newHandler(ctx context.Context, o ServeOptions) (http.Handler, func(), error) {
	if err := o.checkLogins(); err != nil {
		return nil, nil, err
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
	return accessLog(access.Answer(app), o.Log), stop, nil
}

// newApp turns the panics, by which distribution refuses a configuration, into errors.
func newApp(ctx context.Context, o ServeOptions) (app *handlers.App, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	if err := registerLogins(); err != nil {
		return nil, err
	}
	return handlers.NewApp(ctx, o.configuration()), nil
}

func (o ServeOptions) configuration() *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": o.Data},
			"delete":     {"enabled": true},
			"cache":      {"blobdescriptor": "inmemory"},
		},
		Catalog: configuration.Catalog{MaxEntries: pageSize},
		Tags:    configuration.Tags{MaxTags: pageSize},
	}
	c.HTTP.Addr = o.Listen
	c.HTTP.Secret = rand.Text() // signs the state of uploads, which do not outlive the process
	c.Auth = o.auth()
	return c
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
