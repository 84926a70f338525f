package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"

	"ndock/stall"
	"ndock/stall/reply"
)

const (
	maxUpstreamAnswer = 8 << 20 // the most that an upstream may answer to what a client asks once, but for a blob
	minUpstreamAnswer = 1 << 10 // what each answer counts for at least: a list may have pages without end
)

// upstreamTimes are how long an upstream may take.
type upstreamTimes struct {
	answer time.Duration // until an answer begins
	stall  time.Duration // in which nothing moves
	ping   time.Duration // to say whether it is there, and how to log in
	rest   time.Duration // for which it is not asked again whether it is there, when it took long to say
}

// boundUpstreams puts a boundedUpstream into http.DefaultTransport, which is the only transport that distribution knows.
// Nobody but its own packages can give it another: of a repository of its upstream it makes the transport with that
// variable, and it looks for the login with http.Get. The transport stays of its type, since storage drivers make others
// of it, and these speak HTTP/2 as the one before. Requests that are none of a cache pass as before.
var boundUpstreams = sync.OnceFunc(func() {
	before, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		before = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	http.DefaultTransport = bounding(before, upstreamTimes{answer: time.Minute, stall: time.Minute, ping: upstreamTimeout, rest: time.Second})
})

// bounding returns a transport that has a boundedUpstream make all requests. It makes none itself, and must have seen that
// it need not speak HTTP/2 before there is another for its protocols; its clones know of neither.
func bounding(before *http.Transport, times upstreamTimes) *http.Transport {
	bounded := before.Clone()
	bounded.Protocols = new(http.Protocols)
	bounded.Protocols.SetHTTP1(true)
	bounded.CloseIdleConnections() // which is when it sees that
	bounded.Protocols = before.Protocols
	for _, scheme := range []string{"http", "https"} {
		bounded.RegisterProtocol(scheme, newBoundedUpstream(before, times))
	}
	return bounded
}

// boundedUpstream ends the answers of an upstream that are too large or do not come. Distribution reads manifests, lists,
// tokens and errors of an upstream into memory, however large they are, and waits for each for ever.
type boundedUpstream struct {
	others http.RoundTripper // for requests that are none of a cache
	asks   http.RoundTripper // for those of a cache's clients
	pings  http.RoundTripper // for those that the cache makes for itself
}

func newBoundedUpstream(before *http.Transport, times upstreamTimes) *boundedUpstream {
	asks, pings := before.Clone(), before.Clone()
	asks.ResponseHeaderTimeout = times.answer
	pings.TLSHandshakeTimeout = times.ping
	pings.DialContext = (&net.Dialer{Timeout: times.ping}).DialContext
	return &boundedUpstream{
		others: before,
		asks:   &stall.Transport{Next: asks, Limit: times.stall},
		pings:  &pinger{next: pings, limit: times.ping, rest: times.rest},
	}
}

// RoundTrip implements http.RoundTripper.
func (b *boundedUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	a, ours := r.Context().Value(upstreamRequestKey{}).(*upstreamRequest)
	switch {
	case ours:
		return a.send(r, b.asks)
	case isPing(r):
		return b.pings.RoundTrip(r)
	}
	return b.others.RoundTrip(r)
}

// isPing knows a request for the root of a registry's API, which distribution makes without a context. No other request
// of this process has such an address: no file of a storage ends so.
func isPing(r *http.Request) bool {
	asked := reply.First(r).URL
	return r.Method == http.MethodGet && strings.HasSuffix(asked.Path, "/v2/") && asked.RawQuery == ""
}

// pinger asks one after the other whether an upstream is there. Distribution makes each client of a cache wait for all
// clients before it: when the upstream took long to answer the first, or did not, the others need not wait for the same.
type pinger struct {
	next  http.RoundTripper
	limit time.Duration // for an answer, with all that it is redirected to
	rest  time.Duration

	mu     sync.Mutex // guards all below
	host   string     // that took long
	at     time.Time
	answer *http.Response // nil for none
	why    error
}

// slowPing is which part of its time an upstream may take, and be asked again at once.
const slowPing = 5

// RoundTrip implements http.RoundTripper. The answer is without its body, which nobody reads.
func (p *pinger) RoundTrip(r *http.Request) (*http.Response, error) {
	if answer, err := p.resting(r); answer != nil || err != nil {
		return answer, err
	}
	ends := p.ends(r)
	ctx, cancel := context.WithDeadline(r.Context(), ends)
	defer cancel()
	answer, err := p.next.RoundTrip(r.WithContext(ctx))
	if err == nil {
		answer.Body.Close()
		answer.Body, answer.ContentLength = http.NoBody, 0
	}
	if time.Until(ends) <= p.limit-p.limit/slowPing {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.host, p.at, p.answer, p.why = reply.First(r).URL.Host, time.Now(), copied(answer), err
	}
	return answer, err
}

// ends is when a request has had its time, or the one that was redirected to it.
func (p *pinger) ends(r *http.Request) time.Time {
	if at, ok := reply.First(r).Context().Deadline(); ok && r.Response != nil {
		return at
	}
	return time.Now().Add(p.limit)
}

// resting is what a host has said last, if it is not asked again for now.
func (p *pinger) resting(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Response != nil || r.URL.Host != p.host || time.Since(p.at) > p.rest {
		return nil, nil
	}
	return copied(p.answer), p.why
}

// copied is an answer without a body for another client.
func copied(answer *http.Response) *http.Response {
	if answer == nil {
		return nil
	}
	other := *answer
	other.Header = answer.Header.Clone()
	return &other
}

// upstreamRequestKey is by what a request of a cache is known: in its context is an asking.
type upstreamRequestKey struct{}

// upstreamRequest is what a client asks once: it may take several requests to the upstream.
type upstreamRequest struct {
	blob    digest.Digest // that it is for, or none
	maxBlob int64         // bytes that a blob may have; any number when 0
	left    atomic.Int64  // bytes that the upstream may answer
	absent  atomic.Bool   // the upstream has said last that it has no such manifest
	sent    atomic.Bool   // the upstream was asked for something
}

// startRequest is the context of requests to an upstream, for a blob or for none.
func (u *upstream) startRequest(ctx context.Context, blob digest.Digest) (context.Context, *upstreamRequest) {
	a := &upstreamRequest{blob: blob, maxBlob: u.maxBlob}
	a.left.Store(maxUpstreamAnswer)
	return context.WithValue(ctx, upstreamRequestKey{}, a), a
}

// notFromUpstream is the context of requests to the storage, which goes over the network, too, where it is S3.
func notFromUpstream(ctx context.Context) context.Context {
	return context.WithValue(ctx, upstreamRequestKey{}, nil)
}

func (a *upstreamRequest) send(r *http.Request, by http.RoundTripper) (*http.Response, error) {
	blob := a.isFor(r)
	r = withEncodings(r, blob)
	a.sent.Store(true)
	answer, err := by.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if strings.Contains(reply.First(r).URL.Path, "/manifests/") {
		kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // a web server that is no registry says 404, too
		a.absent.Store(answer.StatusCode == http.StatusNotFound && kind == "application/json")
	}
	if blob && answer.StatusCode < http.StatusMultipleChoices {
		return a.asStored(answer)
	}
	a.left.Add(-minUpstreamAnswer)
	answer.Body = &boundedAnswer{ReadCloser: answer.Body, request: a}
	return answer, nil
}

// withEncodings asks for none of a blob, and of all else for those that distribution unpacks, but for zstd, of which a reader
// takes as much memory as the answer says.
func withEncodings(r *http.Request, blob bool) *http.Request {
	wanted := "gzip, deflate"
	if blob {
		wanted = "identity"
	} else if r.Header.Get("Accept-Encoding") == "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Accept-Encoding", wanted)
	return r
}

// asStored is an answer with a blob that is taken as it comes, unless it is too large. Some servers say of a layer, which is
// packed, that it is an encoding of another, and distribution would unpack it: it would not be what its digest says.
func (a *upstreamRequest) asStored(answer *http.Response) (*http.Response, error) {
	if a.maxBlob > 0 && answer.ContentLength > a.maxBlob {
		return nil, errors.Join(tooLarge("layers", a.maxBlob), answer.Body.Close())
	}
	answer.Header.Del("Content-Encoding")
	return answer, nil
}

// isFor tells whether a request is for the blob, be it redirected, and not for the token that this takes.
func (a *upstreamRequest) isFor(r *http.Request) bool {
	asked := reply.First(r).URL
	return a.blob != "" && asked.RawQuery == "" && strings.HasSuffix(asked.Path, "/blobs/"+string(a.blob))
}

// boundedAnswer is a body of which no more is read than what a client asks may take.
type boundedAnswer struct {
	io.ReadCloser
	request *upstreamRequest
}

// Read implements io.Reader.
func (b *boundedAnswer) Read(p []byte) (int, error) {
	left := b.request.left.Load()
	if left <= 0 {
		return 0, fmt.Errorf("it answers with more than %s", units.BytesSize(maxUpstreamAnswer))
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), left)])
	b.request.left.Add(-int64(n))
	return n, err
}
