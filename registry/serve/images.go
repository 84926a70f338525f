package serve

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	middleware "github.com/distribution/distribution/v3/registry/middleware/registry"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"ndock/registry/config"
	"ndock/registry/glance"
	"ndock/registry/refusal"
	"ndock/registry/storage"
)

// images are what a registry has: in a storage, or in Glance.
type images interface {
	backing
	// Probe returns why images cannot be kept now.
	Probe(ctx context.Context) error
	// app makes distribution's registry of them, and a function that ends what runs beside it.
	app(ctx context.Context, o config.Options, c *configuration.Configuration) (http.Handler, func(), error)
	// serveControl lets the host's administrator have garbage collected.
	serveControl(ctx context.Context, o config.Options, lock *readOnlyLock, c *configuration.Configuration) (stop func(), err error)
}

func openImages(o config.Options, c *configuration.Configuration) (images, error) {
	switch {
	case !o.Glance.Used:
		return openStored(o, c)
	case o.OpenGlance == nil:
		return nil, errors.New("no Glance is known here")
	}
	open, err := o.OpenGlance(o.Glance, o.Log)
	if err != nil {
		return nil, err
	}
	return inGlance{glance.New(glance.Options{Open: open, OpenUploads: o.MaxOpenUploads, Log: o.Log})}, nil
}

// inGlance are images in Glance, which has its own quotas, garbage collection and health.
type inGlance struct{ registry *glance.Registry }

// Begin implements backing.
func (inGlance) Begin(context.Context, *storage.Request, int64, int64) *refusal.Refusal { return nil }

// Take implements backing.
func (inGlance) Take(*storage.Request, int64) *refusal.Refusal { return nil }

// End implements backing.
func (inGlance) End(*storage.Request) {}

// FullSince implements backing.
func (inGlance) FullSince(time.Time) bool { return false }

// DropUpload implements backing. The upload has ended when its body was refused.
func (inGlance) DropUpload(context.Context, string, string) error { return nil }

// Probe implements images. A registry that lives is well: whether Glance is, Glance can be asked.
func (inGlance) Probe(context.Context) error { return nil }

func (inGlance) serveControl(context.Context, config.Options, *readOnlyLock, *configuration.Configuration) (func(), error) {
	return func() {}, nil
}

func (g inGlance) app(ctx context.Context, o config.Options, c *configuration.Configuration) (http.Handler, func(), error) {
	c.Middleware = map[string][]configuration.Middleware{
		"registry": {{Name: glanceName, Options: configuration.Parameters{"registry": g.registry}}},
	}
	checked, err := withChecks(c, nil, o.Log)
	if err != nil {
		return nil, nil, err
	}
	if err := registerGlance(); err != nil {
		return nil, nil, err
	}
	app, err := newApp(ctx, checked)
	if err != nil {
		return nil, nil, err
	}
	return withReferrers(c.HTTP.Prefix, app), func() { end(app, o.Log); g.registry.Close() }, nil
}

// glanceName is the name of the images in Glance in distribution's list of middleware.
const glanceName = "ndock-glance"

// registerGlance registers the middleware once: distribution finds it by name alone.
var registerGlance = sync.OnceValue(func() error {
	return middleware.Register(glanceName, func(_ context.Context, _ distribution.Namespace, _ storagedriver.StorageDriver, options map[string]any) (distribution.Namespace, error) {
		r, ok := options["registry"].(*glance.Registry)
		if !ok {
			return nil, errors.New("middleware " + glanceName + " is for ndock's own use")
		}
		return r, nil
	})
})
