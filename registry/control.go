package registry

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
)

// controlTime is for what a client of the control socket asks for to come.
const controlTime = 10 * time.Second

// serveControl listens on the control socket, on which the file system lets in whom it belongs to, and root.
func serveControl(ctx context.Context, o ServeOptions, gate *gate, c *configuration.Configuration, s *store) (stop func(), err error) {
	if o.Control == "" {
		return func() {}, nil
	}
	listener, err := listenControl(o.Control)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", o.Control, err)
	}
	server := &http.Server{
		Handler:           controlHandler(gate, c, s, o.Log),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: controlTime,
		MaxHeaderBytes:    maxHeader,
	}
	go server.Serve(listener) // which ends by stop, and needs no other reason told
	return func() { server.Close() }, nil
}

// listenControl replaces a socket that a registry which was killed left behind, and nothing else.
func listenControl(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is something else than a socket")
	default:
		if peer, err := net.DialTimeout("unix", path, time.Second); err == nil {
			return nil, errors.Join(&Error{Err: errors.New("another registry listens there"), hint: "choose another socket with --control"}, peer.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	before := unix.Umask(0o177) // nobody gets in between the socket's birth and a chmod
	defer unix.Umask(before)
	return net.Listen("unix", path)
}

// controlHandler answers what is asked for on the control socket.
func controlHandler(gate *gate, c *configuration.Configuration, s *store, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+collectPath, func(w http.ResponseWriter, r *http.Request) {
		var options CollectOptions
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(controlTime))
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&options); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		control.SetReadDeadline(time.Time{}) // what is asked for may take its time
		w.WriteHeader(http.StatusOK)
		told := &teller{out: json.NewEncoder(w), flush: control.Flush}
		options.Report = told
		freed, err := collect(r.Context(), c, gate, options)
		s.recount()
		last := news{Freed: &freed}
		if err != nil {
			last.Error, last.Hint = err.Error(), hintOf(err)
		}
		log.Info("garbage collected", "dry_run", options.DryRun, "blobs", freed.Blobs, "bytes", freed.Bytes, "error", last.Error)
		told.tell(last)
	})
	return mux
}

// teller sends news as they come. A listener who is gone is no matter: his context has ended.
type teller struct {
	lock  sync.Mutex
	out   *json.Encoder
	flush func() error
}

// Step implements gc.Reporter.
func (t *teller) Step(format string, args ...any) { t.tell(news{Step: fmt.Sprintf(format, args...)}) }

func (t *teller) tell(line news) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.out.Encode(line)
	t.flush()
}

// collect is what the serving process does when it is asked to.
func collect(ctx context.Context, config *configuration.Configuration, gate *gate, c CollectOptions) (gc.Result, error) {
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
	if err := gate.close(ctx, c.Wait); err != nil {
		return gc.Result{}, err
	}
	defer gate.open()
	return gc.Run(ctx, storage, c.Options)
}
