package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"ndock/registry/pki"
)

// reloadInterval is how often the files of a certificate are checked for changes.
const reloadInterval = 2 * time.Second

// A reloader shows the certificate in its files, or the last good one that was in them. When that is about to end, it
// shows the next one.
type reloader struct {
	certFile, keyFile string
	nextFile          string // may be empty
	log               *slog.Logger
	read              pki.Pair   // what was read last, good or not
	readNext          []byte     // likewise
	all               pki.Series // that may be shown
	shown             atomic.Pointer[tls.Certificate]
}

func newReloader(certFile, keyFile, nextFile string, now time.Time, log *slog.Logger) (*reloader, error) {
	r := &reloader{certFile: certFile, keyFile: keyFile, nextFile: nextFile, log: log}
	return r, r.load(now)
}

// config returns a TLS configuration that shows the certificate of the moment.
func (r *reloader) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.shown.Load(), nil },
	}
}

func (r *reloader) load(now time.Time) error {
	given, err := pki.ReadPair(r.certFile, r.keyFile, now)
	r.read, r.readNext = given, r.next()
	all := pki.ParseSeries(r.readNext)
	if len(all) == 0 && err != nil {
		return err
	}
	if _, _, err := given.Parse(); err != nil {
		return err
	}
	r.all = append(pki.Series{given}, all...)
	return r.show(now)
}

// show selects the certificate for that time.
func (r *reloader) show(now time.Time) error {
	best := r.all.At(now)
	if len(best.Cert) == 0 {
		return fmt.Errorf("no certificate in %q and %q is valid now", r.certFile, r.nextFile)
	}
	certificate, err := tls.X509KeyPair(best.Cert, best.Key)
	if err != nil {
		return err
	}
	r.shown.Store(&certificate)
	return nil
}

func (r *reloader) next() []byte {
	if r.nextFile == "" {
		return nil
	}
	text, _ := os.ReadFile(r.nextFile) // there need be none
	return text
}

// follow loads the files again when they change, or on a signal, until the context ends.
func (r *reloader) follow(ctx context.Context, told <-chan os.Signal) {
	tick := time.NewTicker(reloadInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			r.reload(time.Now())
		case <-tick.C:
			r.check(time.Now())
		}
	}
}

// check loads changed files, or shows the next certificate when its time has come.
func (r *reloader) check(now time.Time) {
	switch {
	case r.changed():
		r.reload(now)
	case r.shown.Load().Leaf.NotAfter.Before(now.Add(pki.Renewal)):
		before := r.shown.Load()
		if r.show(now) == nil && !r.shown.Load().Leaf.Equal(before.Leaf) {
			r.log.Info("certificate renewed", "expires", expiry(r.shown.Load().Leaf))
		}
	}
}

func (r *reloader) reload(now time.Time) {
	if err := r.load(now); err != nil {
		r.log.Error("the certificate stays what it was", "error", err)
		return
	}
	r.log.Info("certificate loaded", "file", r.certFile, "expires", expiry(r.shown.Load().Leaf))
}

func expiry(leaf *x509.Certificate) string { return leaf.NotAfter.UTC().Format(time.RFC3339) }

// changed compares contents, so that it also notices a link to another file. It returns true once for each change.
func (r *reloader) changed() bool {
	cert, certErr := os.ReadFile(r.certFile)
	key, keyErr := os.ReadFile(r.keyFile)
	now := pki.Pair{Cert: cert, Key: key}
	if certErr != nil || keyErr != nil {
		now = pki.Pair{}
	}
	return !bytes.Equal(now.Cert, r.read.Cert) || !bytes.Equal(now.Key, r.read.Key) || !bytes.Equal(r.next(), r.readNext)
}
