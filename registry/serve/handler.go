package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"

	"ndock/registry/auth"
	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
)

// newHandler wraps distribution's registry; a request passes what is wrapped last first: log, metrics, headers, names,
// read-only lock, limits, login. It returns the lock, too, and a function that ends what runs beside the handler.
func newHandler(ctx context.Context, o config.Options, c *configuration.Configuration, all images, m *metrics) (http.Handler, *readOnlyLock, func(), error) {
	if err := errors.Join(registerLogins(), checkAuth(c.Auth), checkLogins(o.Keystone)); err != nil {
		return nil, nil, nil, err
	}
	headers, names := takeHeaders(c), &projectNames{}
	names.hear(c.Auth["keystone"])
	app, stop, err := all.app(ctx, o, c)
	if err != nil {
		return nil, nil, nil, err
	}
	limits := newLimits(o, c, all, names)
	lock := &readOnlyLock{interrupt: limits.interrupt}
	handler := limits.wrap(auth.Answer(app))
	handler = withHeaders(c.HTTP.Prefix, headers, checkPaths(c.HTTP.Prefix, lock.wrap(handler)))
	handler = m.wrap(c.HTTP.Prefix, handler)
	if !c.Log.AccessLog.Disabled {
		handler = accessLog(c.HTTP.Prefix, handler, o.Log)
	}
	return handler, lock, stop, nil
}

// app makes distribution's registry, once it has tried the storage.
func (s stored) app(ctx context.Context, o config.Options, c *configuration.Configuration) (http.Handler, func(), error) {
	if err := checkDirectory(c.Storage); err != nil {
		return nil, nil, err
	}
	app, stop, err := newCache(ctx, c, s.Store, o.MaxBlobSize, o.Log)
	if err != nil {
		return nil, nil, err
	}
	if c.Storage.Type() != "filesystem" {
		if err := s.CheckBucket(ctx, c.Storage); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return app, stop, nil
}

func newApp(ctx context.Context, c *configuration.Configuration) (app *handlers.App, err error) {
	err = config.CatchPanic(func() error {
		app = handlers.NewApp(ctx, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("set up the registry: %w", err)
	}
	return app, nil
}

func newLimits(o config.Options, c *configuration.Configuration, b backing, names *projectNames) *limits {
	l := &limits{
		prefix: c.HTTP.Prefix, maxBlob: o.MaxBlobSize, stall: o.Timeouts.Stall, store: b, log: o.Log, names: names,
		memory: newManifestBodies(manifestTurnWithin, manifestWithin), answers: newManifestAnswers(manifestTurnWithin),
	}
	if o.Glance.Used || c.Proxy.RemoteURL != "" {
		l.answers.reads, l.answers.lists = nil, nil // Glance has turns of its own, and who waits for it or for an upstream takes no memory
	}
	if o.MaxUploads > 0 {
		l.uploads = make(chan struct{}, o.MaxUploads)
	}
	return l
}

// checkAuth refuses a file of logins that lets nobody in.
func checkAuth(auth configuration.Auth) error {
	if path, ok := auth["htpasswd"]["path"].(string); ok {
		_, err := htpasswd.Read(path)
		return err
	}
	return nil
}

func checkDirectory(storage configuration.Storage) error {
	dir, ok := storage["filesystem"]["rootdirectory"].(string)
	if !ok {
		return nil
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("use %q for data: %w", dir, err)
	}
	return nil
}

// writable makes the directory if need be, and tries to write, because distribution would notice only at the first
// push.
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
