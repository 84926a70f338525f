package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3/configuration"
)

// Serve runs a registry until the context ends, and then ends when the requests under way have.
func Serve(ctx context.Context, o ServeOptions) error {
	if err := o.Check(); err != nil {
		return err
	}
	redirectLog(o.Log)
	o, c, err := o.complete()
	if err != nil {
		return err
	}
	config, err := o.tls(c.HTTP.TLS)
	if err != nil {
		return err
	}
	handler, stop, err := newHandler(context.WithoutCancel(ctx), o, c)
	if err != nil {
		return err
	}
	defer stop()
	listener, err := listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		Protocols:         protocols(c.HTTP),
		ReadHeaderTimeout: 10 * time.Second, // bodies may take as long as they take
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	return o.run(ctx, server, listener)
}

func (o ServeOptions) run(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	accept, scheme := server.Serve, "http"
	if server.TLSConfig != nil {
		accept, scheme = func(l net.Listener) error { return server.ServeTLS(l, "", "") }, "https"
	}
	go func() { ended <- accept(listener) }()
	if o.Listening != nil {
		o.Listening(scheme + "://" + listener.Addr().String())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
		return o.drain(ctx, server)
	}
}

func (o ServeOptions) drain(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		server.Close()
		return fmt.Errorf("end the registry: requests were cut off after %s", o.Drain)
	}
	return nil
}

func (o ServeOptions) tls(said configuration.TLS) (*tls.Config, error) {
	if o.CertFile == "" {
		return nil, nil
	}
	given, err := readPair(o.CertFile, o.KeyFile, time.Now())
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(given.cert, given.key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if said.MinimumTLS == "tls1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	return config, nil
}

// protocols are HTTP/1, and HTTP/2 where there is TLS, unless the configuration has it otherwise.
func protocols(said configuration.HTTP) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(!said.HTTP2.Disabled)
	p.SetUnencryptedHTTP2(said.H2C.Enabled)
	return p
}
