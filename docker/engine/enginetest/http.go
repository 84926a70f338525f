package enginetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
)

// Server is an engine behind Docker's HTTP API.
type Server struct {
	Host   string // for DOCKER_HOST
	server *httptest.Server
}

// Serve starts to serve an engine.
func Serve(engine *Engine) *Server {
	server := httptest.NewServer(engine.Handler())
	return &Server{Host: "tcp://" + server.Listener.Addr().String(), server: server}
}

// Close ends it.
func (s *Server) Close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// Handler is the engine's HTTP API: as much of it as Docker's client asks for the methods that there are.
func (e *Engine) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, some := range []map[string]handler{e.daemonRoutes(), e.containerRoutes(), e.verbRoutes(), e.fileRoutes(), e.imageRoutes(), e.volumeRoutes()} {
		for pattern, handle := range some {
			mux.Handle(pattern, handle)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", e.API)
		r.URL.Path, r.URL.RawPath = versionPrefix.ReplaceAllString(r.URL.Path, ""), ""
		mux.ServeHTTP(w, r)
	})
}

var versionPrefix = regexp.MustCompile(`^/v[0-9.]+`)

// handler answers a request, or returns why not.
type handler func(w http.ResponseWriter, r *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		write(w, statusOf(err), map[string]string{"message": err.Error()})
	}
}

// statusOf is the status by which a client knows what kind of error it is.
func statusOf(err error) int {
	switch {
	case errdefs.IsNotFound(err):
		return http.StatusNotFound
	case errdefs.IsConflict(err):
		return http.StatusConflict
	case errdefs.IsInvalidArgument(err):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // or the client has left
}

// answer sends what a method returns.
func answer(w http.ResponseWriter, status int, value any, err error) error {
	if err == nil {
		write(w, status, value)
	}
	return err
}

// done answers for a method that returns nothing.
func done(w http.ResponseWriter, status int, err error) error {
	if err == nil {
		w.WriteHeader(status)
	}
	return err
}

// stream sends what a method returns to its end. Where that breaks off, the connection does.
func stream(w http.ResponseWriter, content io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	defer content.Close()
	if _, err := io.Copy(flushing{w}, content); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// flushing sends all at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// wanted are the filters of a list.
func wanted(r *http.Request) (filters.Args, error) { return filters.FromJSON(r.FormValue("filters")) }

// is tells whether a switch is on.
func is(r *http.Request, name string) bool {
	value := r.URL.Query().Get(name)
	return value == "1" || value == "true"
}
