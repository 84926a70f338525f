package serve

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"

	"ndock/docker/transfer"
	"ndock/registry/config"
	"ndock/registry/gc"
	"ndock/registry/storage"
)

const (
	upstreamTimeout  = 5 * time.Second  // for an answer at the start
	upstreamInterval = 15 * time.Second // between looks for an upstream that was away

	minExpiryInterval = 20 * time.Millisecond
	maxExpiryInterval = 6 * time.Hour
)

// newCache makes a registry; a pull-through cache if the configuration says so. Distribution cannot make a cache while
// the upstream is away. A registry without an upstream serves what is cached then, until the upstream is back.
func newCache(ctx context.Context, c *configuration.Configuration, s *storage.Store, maxBlob int64, log *slog.Logger) (http.Handler, func(), error) {
	if c.Proxy.RemoteURL == "" {
		checked, err := withChecks(c, s, log)
		if err != nil {
			return nil, nil, err
		}
		app, err := newApp(ctx, checked)
		return app, func() { app.Shutdown() }, err // which fails for caches only
	}
	if err := registerUpstream(); err != nil {
		return nil, nil, err
	}
	boundUpstreams()
	c, ttl := withoutTTL(c)
	app, stop, err := newCacheApp(ctx, c, upstream{url: c.Proxy.RemoteURL, store: s, log: log, maxBlob: maxBlob})
	if err != nil || ttl <= 0 {
		return app, stop, err
	}
	e := &cacheExpiry{ttl: ttl, config: c, log: log}
	endExpiry := e.start(ctx)
	return app, func() { endExpiry(); stop() }, nil
}

func newCacheApp(ctx context.Context, c *configuration.Configuration, u upstream) (http.Handler, func(), error) {
	log := u.log
	err := checkUpstream(ctx, c.Proxy.RemoteURL)
	if err == nil {
		app, err := newApp(ctx, withUpstream(c, &u))
		return app, func() { end(app, log) }, err
	}
	log.Warn("the upstream does not answer: only what is cached is served until it does", "error", err)
	alone, err := newApp(ctx, withoutUpstream(c, u, err))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	by := &standby{upstream: u, log: log, ended: make(chan struct{})}
	by.app.Store(alone)
	go by.await(ctx, c)
	return by, func() { cancel(); <-by.ended; end(by.app.Load(), log) }, nil
}

func end(app *handlers.App, log *slog.Logger) {
	if err := app.Shutdown(); err != nil {
		log.Error("end the cache", "error", err)
	}
}

// withoutUpstream returns the configuration of a read-only registry that has what the cache has.
func withoutUpstream(c *configuration.Configuration, u upstream, away error) *configuration.Configuration {
	u.down = away
	alone := *withUpstream(c, &u)
	alone.Proxy = configuration.Proxy{}
	alone.Storage = maps.Clone(c.Storage)
	maintenance := maps.Clone(c.Storage["maintenance"])
	if maintenance == nil {
		maintenance = configuration.Parameters{}
	}
	maintenance["readonly"] = map[any]any{"enabled": true}
	alone.Storage["maintenance"] = maintenance
	return &alone
}

// withoutTTL returns the configuration of a cache from which distribution removes nothing, and its time to live; zero
// for ever.
func withoutTTL(c *configuration.Configuration) (*configuration.Configuration, time.Duration) {
	forever := *c
	forever.Proxy.TTL = new(time.Duration)
	return &forever, config.ProxyTTL(c)
}

// cacheExpiry removes from a cache the images that nobody has pulled for its time to live, and the blobs that no other
// image needs. Distribution would remove each blob by its own age, also from repositories and images that got it later.
// It removes nothing while the upstream is away, or refuses the cache.
type cacheExpiry struct {
	ttl    time.Duration
	config *configuration.Configuration
	log    *slog.Logger
}

// start looks for expired images from time to time. The returned function ends that.
func (e *cacheExpiry) start(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(min(max(e.ttl/10, minExpiryInterval), maxExpiryInterval))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				e.run(ctx)
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

func (e *cacheExpiry) run(ctx context.Context) {
	status, challenges, err := askUpstream(ctx, e.config.Proxy.RemoteURL)
	if welcome := status/100 == 2 || status == http.StatusUnauthorized && challenges; err != nil || !welcome {
		return
	}
	storage, err := factory.Create(ctx, e.config.Storage.Type(), e.config.Storage.Parameters())
	var freed gc.Result
	if err == nil {
		freed, err = gc.Run(ctx, storage, gc.Options{Cache: true, Grace: e.ttl, Report: debugReporter{e.log}})
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		e.log.Error("remove what is old from the cache", "error", err)
	case freed != gc.Result{}:
		e.log.Info("removed what is old from the cache", "images", freed.Manifests, "blobs", freed.Blobs, "bytes", freed.Bytes)
	}
}

// debugReporter logs what a collection does at the debug level.
type debugReporter struct{ log *slog.Logger }

// Step implements gc.Reporter.
func (d debugReporter) Step(format string, args ...any) { d.log.Debug(fmt.Sprintf(format, args...)) }

// checkUpstream returns why an upstream cannot be used now.
func checkUpstream(ctx context.Context, url string) error {
	status, _, err := askUpstream(ctx, url)
	if err == nil && status >= 500 {
		err = fmt.Errorf("GET %s/v2/ answered %d %s", url, status, http.StatusText(status))
	}
	return err
}

// askUpstream returns the status with which an upstream answers, and whether it says how to log in.
func askUpstream(ctx context.Context, url string) (status int, challenges bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v2/", nil)
	if err != nil {
		return 0, false, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false, transfer.WithoutQueries(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("WWW-Authenticate") != "", nil
}

// standby serves from one registry until it can from another.
type standby struct {
	app      atomic.Pointer[handlers.App]
	upstream upstream
	log      *slog.Logger
	ended    chan struct{}
}

// ServeHTTP implements http.Handler.
func (s *standby) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.app.Load().ServeHTTP(w, r) }

// await asks the upstream until it answers, and then makes the cache.
func (s *standby) await(ctx context.Context, c *configuration.Configuration) {
	defer close(s.ended)
	for tick := time.NewTicker(upstreamInterval); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		if checkUpstream(ctx, c.Proxy.RemoteURL) != nil {
			continue
		}
		app, err := newApp(context.WithoutCancel(ctx), withUpstream(c, &s.upstream))
		if err != nil {
			s.log.Error("use the upstream", "error", err)
			continue
		}
		s.log.Info("the upstream answers", "url", c.Proxy.RemoteURL)
		end(s.app.Swap(app), s.log)
		tick.Stop()
		return
	}
}
