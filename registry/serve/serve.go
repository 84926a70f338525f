// Package serve is the registry's HTTP server: distribution's registry, and around it what distribution lacks. A request
// passes the handlers in the order of newHandler (handler.go): log, metrics, headers and names, read-only lock, limits,
// login, distribution. Below distribution are the checks of manifests, or for a cache the upstream, and then package storage.
package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/docker/transfer"
	"ndock/registry/config"
)

// Serve runs a registry until the context ends, and then lets the requests under way end.
func Serve(ctx context.Context, o config.Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	redirectLog(o.Log)
	o, c, err := o.Complete()
	if err != nil {
		return err
	}
	tlsConfig, forget, err := newTLS(ctx, o, c.HTTP.TLS)
	if err != nil {
		return err
	}
	defer forget()
	images, err := openImages(o, c)
	if err != nil {
		return err
	}
	counts, alive := newMetrics(), &health{images: images}
	handler, lock, stop, err := newHandler(context.WithoutCancel(ctx), o, c, images, counts)
	if err != nil {
		return err
	}
	defer stop()
	endControl, err := images.serveControl(ctx, o, lock, c)
	if err != nil {
		return err
	}
	defer endControl()
	listener, err := config.Listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	end, err := serveMetrics(ctx, o, counts, alive)
	if err != nil {
		return err
	}
	defer end()
	server := newServer(handler, o.Timeouts, o.Log)
	server.TLSConfig, server.Protocols = tlsConfig, protocols(c.HTTP)
	return run(ctx, o, server, transfer.LimitConnections(listener, o.MaxConnections, o.MaxConnectionsPerClient, o.Log), alive)
}

// run serves until the context ends, and then drains.
func run(ctx context.Context, o config.Options, server *http.Server, listener net.Listener, alive *health) error {
	ended := make(chan error, 1)
	accept, scheme := server.Serve, "http"
	if server.TLSConfig != nil {
		accept, scheme = func(l net.Listener) error { return server.ServeTLS(l, "", "") }, "https"
	}
	go func() { ended <- accept(listener) }()
	if o.Listening != nil {
		o.Listening("a registry", scheme+"://"+listener.Addr().String())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
		alive.draining.Store(true)
		return drain(ctx, server, o.Drain)
	}
}

// drain ends the server when the requests under way have ended, or have had their time.
func drain(ctx context.Context, server *http.Server, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		server.Close()
		return fmt.Errorf("end the registry: requests were cut off after %s", limit)
	}
	return nil
}

// newTLS returns nil without a certificate. The returned function ends the watch over the certificate's files.
func newTLS(ctx context.Context, o config.Options, said configuration.TLS) (*tls.Config, func(), error) {
	if o.CertFile == "" {
		return nil, func() {}, nil
	}
	certificate, err := newReloader(o.CertFile, o.KeyFile, o.NextFile, time.Now(), o.Log)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { certificate.follow(ctx, o.Reload) })
	config := certificate.config()
	if said.MinimumTLS == "tls1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	return config, func() { cancel(); following.Wait() }, nil
}

// protocols returns HTTP/1, and HTTP/2 over TLS, unless the configuration says otherwise.
func protocols(said configuration.HTTP) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(!said.HTTP2.Disabled)
	p.SetUnencryptedHTTP2(said.H2C.Enabled)
	return p
}
