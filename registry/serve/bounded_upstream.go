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

	"ndock/docker/transfer"
)

const (
	maxUpstreamAnswer = 8 << 20 // the most that an upstream may answer to what a client asks once, but for a blob
	minUpstreamAnswer = 1 << 10 // what each answer counts for at least: a list may have pages without end
)

// upstreamTimes limit how long an upstream may take.
type upstreamTimes struct {
	answer time.Duration // until an answer begins
	stall  time.Duration // in which nothing moves
	ping   time.Duration // to say whether it is there, and how to log in
	rest   time.Duration // for which it is not asked again whether it is there, when it took long to say
}

// boundUpstreams puts a boundedUpstream into http.DefaultTransport. There is no other way: distribution's proxy makes
// its transport from that variable, and asks how to log in with http.Get. The new transport has the same type and
// protocols, because storage drivers clone it. Requests that no cache makes pass as before.
var boundUpstreams = sync.OnceFunc(func() {
	before, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		before = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	http.DefaultTransport = bounding(before, upstreamTimes{answer: time.Minute, stall: time.Minute, ping: upstreamTimeout, rest: time.Second})
})

// bounding returns a transport whose requests all go through a boundedUpstream. The transport must learn that it needs
// no HTTP/2 of its own before another one is registered for its protocols; its clones know of neither.
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

// boundedUpstream ends answers of an upstream that are too large or do not come. Distribution reads manifests, lists,
// tokens and errors into memory, however large they are, and waits for ever.
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
		asks:   &transfer.IdleTransport{Next: asks, Timeout: times.stall},
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

// isPing recognises distribution's request for the root of an upstream's API, which has no context. No other request of
// this process has such a URL.
func isPing(r *http.Request) bool {
	asked := transfer.OriginalRequest(r).URL
	return r.Method == http.MethodGet && strings.HasSuffix(asked.Path, "/v2/") && asked.RawQuery == ""
}

// pinger asks whether an upstream is there, for one client after the other. Distribution makes each client wait for all
// clients before it, so after a slow answer the others get the same answer at once.
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

// slowPing is the part of the limit (one fifth) up to which an answer is quick.
const slowPing = 5

// RoundTrip implements http.RoundTripper. The answer has no body, because nobody reads it.
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
		p.host, p.at, p.answer, p.why = transfer.OriginalRequest(r).URL.Host, time.Now(), copied(answer), err
	}
	return answer, err
}

// ends returns when a request, or the one that was redirected to it, has had its time.
func (p *pinger) ends(r *http.Request) time.Time {
	if at, ok := transfer.OriginalRequest(r).Context().Deadline(); ok && r.Response != nil {
		return at
	}
	return time.Now().Add(p.limit)
}

// resting returns the last answer of a host, while that is not asked again.
func (p *pinger) resting(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Response != nil || r.URL.Host != p.host || time.Since(p.at) > p.rest {
		return nil, nil
	}
	return copied(p.answer), p.why
}

// copied returns an answer, which has no body, for another client.
func copied(answer *http.Response) *http.Response {
	if answer == nil {
		return nil
	}
	other := *answer
	other.Header = answer.Header.Clone()
	return &other
}

// upstreamRequestKey is the key of an upstreamRequest in a context.
type upstreamRequestKey struct{}

// upstreamRequest is one request of a client to a cache. It may take several requests to the upstream.
type upstreamRequest struct {
	blob    digest.Digest // that it is for, or none
	maxBlob int64         // bytes that a blob may have; any number when 0
	left    atomic.Int64  // bytes that the upstream may answer
	absent  atomic.Bool   // the upstream has said last that it has no such manifest
	sent    atomic.Bool   // the upstream was asked for something
}

// startRequest returns the context for requests to the upstream, for a blob or for none.
func (u *upstream) startRequest(ctx context.Context, blob digest.Digest) (context.Context, *upstreamRequest) {
	a := &upstreamRequest{blob: blob, maxBlob: u.maxBlob}
	a.left.Store(maxUpstreamAnswer)
	return context.WithValue(ctx, upstreamRequestKey{}, a), a
}

// notFromUpstream returns the context for requests to the storage, which may go over the network, too (S3).
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
	if strings.Contains(transfer.OriginalRequest(r).URL.Path, "/manifests/") {
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

// withEncodings asks for a blob as it is, and for all else in an encoding that distribution decodes. zstd is left out,
// because its reader takes as much memory as the answer says.
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

// asStored returns the answer with a blob as it comes, unless it is too large. Some servers declare a compressed layer
// as an encoding; distribution would decode it, and it would not match its digest.
func (a *upstreamRequest) asStored(answer *http.Response) (*http.Response, error) {
	if a.maxBlob > 0 && answer.ContentLength > a.maxBlob {
		return nil, errors.Join(tooLarge("layers", a.maxBlob), answer.Body.Close())
	}
	answer.Header.Del("Content-Encoding")
	return answer, nil
}

// isFor returns whether a request, redirected or not, is for the blob, and not for a token.
func (a *upstreamRequest) isFor(r *http.Request) bool {
	asked := transfer.OriginalRequest(r).URL
	return a.blob != "" && asked.RawQuery == "" && strings.HasSuffix(asked.Path, "/blobs/"+string(a.blob))
}

// boundedAnswer is a body that ends when the client's request has used up what it may take.
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
