package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadInterval is how often the files of a certificate are looked at.
const reloadInterval = 2 * time.Second

// A reloader shows the certificate that is in its files, or the last good one that was.
type reloader struct {
	certFile, keyFile string
	log               *slog.Logger
	read              pair // what was read last, good or not
	shown             atomic.Pointer[tls.Certificate]
}

func newReloader(certFile, keyFile string, log *slog.Logger) (*reloader, error) {
	r := &reloader{certFile: certFile, keyFile: keyFile, log: log}
	return r, r.load()
}

// config is TLS with the certificate of the moment.
func (r *reloader) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.shown.Load(), nil },
	}
}

func (r *reloader) load() error {
	given, err := readPair(r.certFile, r.keyFile, time.Now())
	r.read = given
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(given.cert, given.key)
	if err != nil {
		return err
	}
	r.shown.Store(&certificate)
	return nil
}

// follow loads the files again when they change, or when told to, until the context ends.
func (r *reloader) follow(ctx context.Context, told <-chan os.Signal) {
	tick := time.NewTicker(reloadInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			r.reload()
		case <-tick.C:
			if r.changed() {
				r.reload()
			}
		}
	}
}

func (r *reloader) reload() {
	if err := r.load(); err != nil {
		r.log.Error("the certificate stays what it was", "error", err)
		return
	}
	r.log.Info("certificate loaded", "file", r.certFile, "expires", r.shown.Load().Leaf.NotAfter.UTC().Format(time.RFC3339))
}

// changed compares what is in the files, which also notices those that are links to others now. It is true once for
// each change.
func (r *reloader) changed() bool {
	cert, certErr := os.ReadFile(r.certFile)
	key, keyErr := os.ReadFile(r.keyFile)
	now := pair{cert: cert, key: key}
	if certErr != nil || keyErr != nil {
		now = pair{}
	}
	return !bytes.Equal(now.cert, r.read.cert) || !bytes.Equal(now.key, r.read.key)
}
