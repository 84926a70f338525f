package registry

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // the login that we configure
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage that we configure
)

const drainTime = 25 * time.Second

// newHandler makes distribution's registry. The function ends what it has running.
func newHandler(ctx context.Context, o ServeOptions, c *configuration.Configuration) (http.Handler, func(), error) {
	if err := checkAuth(c.Auth); err != nil {
		return nil, nil, err
	}
	if err := checkStorage(c.Storage); err != nil {
		return nil, nil, err
	}
	app, err := newApp(ctx, c)
	if err != nil {
		return nil, nil, fmt.Errorf("set up the registry: %w", err)
	}
	stop := func() { app.Shutdown() } // it can only fail to close a pull-through cache; we have none
	if c.Log.AccessLog.Disabled {
		return app, stop, nil
	}
	return accessLog(app, o.Log), stop, nil
}

func newApp(ctx context.Context, c *configuration.Configuration) (app *handlers.App, err error) {
	err = caught(func() error {
		app = handlers.NewApp(ctx, c)
		return nil
	})
	return app, err
}

// checkAuth refuses logins that would let nobody in.
func checkAuth(auth configuration.Auth) error {
	if path, ok := auth["htpasswd"]["path"].(string); ok {
		return checkLogins(path)
	}
	return nil
}

func checkStorage(storage configuration.Storage) error {
	dir, ok := storage["filesystem"]["rootdirectory"].(string)
	if !ok {
		return nil
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("use %q for data: %w", dir, err)
	}
	return nil
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
