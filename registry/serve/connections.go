package serve

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/felixge/httpsnoop"

	"ndock/registry/auth"
	"ndock/registry/config"
)

// How many connections the listener of metrics and health has open at a time.
const (
	maxMetricsConnections = 128
	maxMetricsPerClient   = 32
)

const (
	lingerTime      = time.Second // for the rest of a body that nobody reads, after the answer
	refusalInterval = time.Minute // between two lines of the log about refused connections
)

// newServer returns a server on which no client can hold a connection without using it.
func newServer(handler http.Handler, t config.Timeouts, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           bounded(handler, t.Stall),
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: t.Header, // also of TLS handshakes
		IdleTimeout:       t.Idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
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

// boundedListener closes connections beyond a limit in all, and beyond a limit of each client.
type boundedListener struct {
	net.Listener
	all, each int
	log       *slog.Logger

	lock    sync.Mutex
	open    int
	clients map[string]int
	refused int
	said    time.Time // when the log last heard of refused ones
}

func bound(l net.Listener, all, each int, log *slog.Logger) *boundedListener {
	return &boundedListener{Listener: l, all: all, each: each, log: log, clients: map[string]int{}}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return nil, errors.Join(fmt.Errorf("accept a connection: it is %T", conn), conn.Close())
		}
		client := auth.Network(conn.RemoteAddr().String())
		if l.enter(client) {
			return &boundedConn{TCPConn: tcp, leave: sync.OnceFunc(func() { l.leave(client) })}, nil
		}
		tcp.SetLinger(0) // nothing is kept of it
		tcp.Close()
	}
}

func (l *boundedListener) enter(client string) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.open >= l.all || l.clients[client] >= l.each {
		l.refuse(client)
		return false
	}
	l.open++
	l.clients[client]++
	return true
}

// refuse logs refused connections, at most once in refusalInterval.
func (l *boundedListener) refuse(client string) {
	l.refused++
	if time.Since(l.said) < refusalInterval {
		return
	}
	l.log.Warn("too many connections: new ones are refused", "refused", l.refused, "from", client, "from_there", l.clients[client], "in_all", l.open)
	l.refused, l.said = 0, time.Now()
}

func (l *boundedListener) leave(client string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.open--
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// boundedConn is a connection that a boundedListener has counted.
type boundedConn struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.leave()
	return c.TCPConn.Close()
}
