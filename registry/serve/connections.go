package serve

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/felixge/httpsnoop"

	"ndock/registry/config"
)

// How many connections the listener of metrics and health has open at a time.
const (
	maxMetricsConnections = 128
	maxMetricsPerClient   = 32
)

// maxStreams is how many requests one connection may have open at a time. Clients of registries have some.
const maxStreams = 32

const lingerTime = time.Second // for the rest of a body that nobody reads, after the answer

// newServer returns a server on which no client can hold a connection without using it.
func newServer(handler http.Handler, t config.Timeouts, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           bounded(handler, t.Stall),
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: t.Header, // also of TLS handshakes
		IdleTimeout:       t.Idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      t.Idle,
			PingTimeout:          t.Header,
			WriteByteTimeout:     t.Stall,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// bounded keeps handlers from reading a form from a body, and ends connections of clients that do not take their
// answer, or do not send the rest of a body that nobody reads. Distribution calls Request.FormValue before it knows who
// asks. What it looks for is in the URL, but FormValue reads a multipart body, too, into memory and files, unless the
// form is set already.
func bounded(next http.Handler, stall time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(r.Context()) // net/http must find its own body in the request when it ends
		b := &boundedRequest{control: http.NewResponseController(w), stall: stall, header: w.Header()}
		if r.ProtoMajor == 1 && r.ContentLength != 0 {
			b.body = &trackedBody{ReadCloser: r.Body}
			r.Body = b.body
		}
		r.Form, r.PostForm = r.URL.Query(), url.Values{}
		if r.ProtoMajor == 1 { // for a "100 Continue"; HTTP/2 resets a stream at its deadline, be nothing written then
			b.awaitWrite()
		}
		next.ServeHTTP(httpsnoop.Wrap(w, b.hooks()), r)
		b.end()
	})
}

// boundedRequest is a request with deadlines.
type boundedRequest struct {
	control *http.ResponseController
	stall   time.Duration
	header  http.Header
	body    *trackedBody // nil for none, and in HTTP/2, where a body that nobody reads is no matter
}

// trackedBody records whether all of the body was read.
type trackedBody struct {
	io.ReadCloser
	ended bool
}

// Read implements io.Reader.
func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// awaitWrite gives the client time to take some of the answer. It ignores connections that have no deadlines.
func (b *boundedRequest) awaitWrite() { b.control.SetWriteDeadline(time.Now().Add(b.stall)) }

func (b *boundedRequest) unread() bool { return b.body != nil && !b.body.ended }

// refuseRest keeps net/http from reading the rest of the body before it answers.
func (b *boundedRequest) refuseRest() {
	if b.unread() {
		b.header.Set("Connection", "close")
	}
}

// end sets the deadlines for what net/http does after the handler.
func (b *boundedRequest) end() {
	b.refuseRest()
	if b.unread() {
		b.control.SetReadDeadline(time.Now().Add(lingerTime))
	}
	b.awaitWrite()
}

func (b *boundedRequest) hooks() httpsnoop.Hooks {
	write := func(pass httpsnoop.WriteFunc) httpsnoop.WriteFunc {
		return func(p []byte) (int, error) {
			b.refuseRest()
			b.awaitWrite()
			n, err := pass(p)
			b.control.SetWriteDeadline(time.Time{})
			return n, err
		}
	}
	return httpsnoop.Hooks{
		WriteHeader: func(pass httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				if status >= 200 {
					b.refuseRest()
				}
				pass(status)
			}
		},
		Write: write,
	}
}
