package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"ndock/registry/gc"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"golang.org/x/sys/unix"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/control"
	"ndock/registry/storage"
)

// controlTime is how long a client of the control socket may take to send its request.
const controlTime = 10 * time.Second

// serveControl listens on the control socket. The file system lets in its owner and root.
func (s stored) serveControl(ctx context.Context, o config.Options, lock *readOnlyLock, c *configuration.Configuration) (stop func(), err error) {
	if o.Control == "" {
		return func() {}, nil
	}
	listener, err := listenControl(o.Control)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", o.Control, err)
	}
	server := &http.Server{
		Handler:           controlHandler(lock, c, s.Store, o.Log),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: controlTime,
		MaxHeaderBytes:    maxHeader,
	}
	go server.Serve(listener) // which ends by stop, and needs no other reason told
	return func() { server.Close() }, nil
}

// listenControl replaces a socket that a registry left when it was killed, and nothing else.
func listenControl(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is something else than a socket")
	default:
		if peer, err := net.DialTimeout("unix", path, time.Second); err == nil {
			return nil, errors.Join(&registry.Error{Err: errors.New("another registry listens there"), Help: "choose another socket with --control"}, peer.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	before := unix.Umask(0o177) // nobody gets in between the socket's birth and a chmod
	defer unix.Umask(before)
	return net.Listen("unix", path)
}

// controlHandler serves the requests of package control.
func controlHandler(lock *readOnlyLock, c *configuration.Configuration, s *storage.Store, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+control.CollectPath, func(w http.ResponseWriter, r *http.Request) {
		var options control.Options
		answer := http.NewResponseController(w)
		answer.SetReadDeadline(time.Now().Add(controlTime))
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&options); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer.SetReadDeadline(time.Time{}) // what is asked for may take its time
		w.WriteHeader(http.StatusOK)
		told := &eventWriter{out: json.NewEncoder(w), flush: answer.Flush}
		options.Report = told
		freed, err := collect(r.Context(), c, lock, options)
		s.Recount()
		last := control.Event{Freed: &freed}
		if err != nil {
			last.Error, last.Hint = err.Error(), registry.HintOf(err)
		}
		log.Info("garbage collected", "dry_run", options.DryRun, "blobs", freed.Blobs, "bytes", freed.Bytes, "error", last.Error)
		told.write(last)
	})
	return mux
}

// eventWriter sends events as they come. It ignores errors: when the client is gone, the context of the request ends.
type eventWriter struct {
	lock  sync.Mutex
	out   *json.Encoder
	flush func() error
}

// Step implements gc.Reporter.
func (t *eventWriter) Step(format string, args ...any) {
	t.write(control.Event{Step: fmt.Sprintf(format, args...)})
}

func (t *eventWriter) write(line control.Event) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.out.Encode(line)
	t.flush()
}

// collect collects garbage, while nobody can write.
func collect(ctx context.Context, config *configuration.Configuration, lock *readOnlyLock, c control.Options) (gc.Result, error) {
	if config.Proxy.RemoteURL != "" {
		return gc.Result{}, errors.New("a cache of another registry removes by itself what is old")
	}
	storage, err := factory.Create(ctx, config.Storage.Type(), config.Storage.Parameters())
	if err != nil {
		return gc.Result{}, fmt.Errorf("open the storage: %w", err)
	}
	if c.DryRun { // nothing is removed, so that a push under way does no harm
		return gc.Run(ctx, storage, c.Options)
	}
	if err := lock.lockWriters(ctx, c.Wait); err != nil {
		return gc.Result{}, err
	}
	defer lock.unlock()
	return gc.Run(ctx, storage, c.Options)
}
