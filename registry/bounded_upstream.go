package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
)

const (
	maxUpstreamAnswer = 8 << 20 // the most that an upstream may answer to what a client asks once, but for a blob
	minUpstreamAnswer = 1 << 10 // what each answer counts for at least: a list may have pages without end
)

// boundUpstreams puts a boundedUpstream into http.DefaultTransport, which is the only transport that distribution knows:
// it reads manifests, lists, tokens and errors of an upstream into memory, however large they are. The transport stays of
// its type, since storage drivers make others of it. Requests that are none of a cache pass as before.
var boundUpstreams = sync.OnceFunc(func() {
	before, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		before = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	bounded := before.Clone()
	bounded.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // before has them
	for _, scheme := range []string{"http", "https"} {
		bounded.RegisterProtocol(scheme, boundedUpstream{before})
	}
	http.DefaultTransport = bounded
})

// boundedUpstream ends the answers of an upstream that are too large.
type boundedUpstream struct{ http.RoundTripper }

// upstreamKey is by what it knows a request of a cache: in its context is an asking.
type upstreamKey struct{}

// asking is what a client asks once: it may take several requests to the upstream.
type asking struct {
	blob digest.Digest // that it is for, or none
	left atomic.Int64  // bytes that the upstream may answer
}

// fromUpstream is the context of requests to an upstream, for a blob or for none.
func fromUpstream(ctx context.Context, blob digest.Digest) context.Context {
	a := &asking{blob: blob}
	a.left.Store(maxUpstreamAnswer)
	return context.WithValue(ctx, upstreamKey{}, a)
}

// notFromUpstream is the context of requests to the storage, which goes over the network, too, where it is S3.
func notFromUpstream(ctx context.Context) context.Context {
	return context.WithValue(ctx, upstreamKey{}, nil)
}

// RoundTrip implements http.RoundTripper.
func (b boundedUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	a, ours := r.Context().Value(upstreamKey{}).(*asking)
	if !ours {
		return b.RoundTripper.RoundTrip(r)
	}
	blob := isFor(r, a.blob)
	if blob {
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", "identity")
	}
	answer, err := b.RoundTripper.RoundTrip(r)
	if err != nil || blob && answer.StatusCode < 300 {
		return asStored(answer), err
	}
	a.left.Add(-minUpstreamAnswer)
	answer.Body = &boundedAnswer{ReadCloser: answer.Body, asking: a}
	return answer, nil
}

// asStored is an answer with a blob that is taken as it comes. Some servers say of a layer, which is packed, that it is an encoding
// of another, and distribution would unpack it: it would not be what its digest says.
func asStored(answer *http.Response) *http.Response {
	if answer != nil {
		answer.Header.Del("Content-Encoding")
	}
	return answer
}

// isFor tells whether a request is for a blob, be it redirected, and not for the token that this takes.
func isFor(r *http.Request, blob digest.Digest) bool {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return blob != "" && r.URL.RawQuery == "" && strings.HasSuffix(r.URL.Path, "/blobs/"+string(blob))
}

// boundedAnswer is a body of which no more is read than what a client asks may take.
type boundedAnswer struct {
	io.ReadCloser
	asking *asking
}

// Read implements io.Reader.
func (b *boundedAnswer) Read(p []byte) (int, error) {
	left := b.asking.left.Load()
	if left <= 0 {
		return 0, fmt.Errorf("it answers with more than %s", units.BytesSize(maxUpstreamAnswer))
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), left)])
	b.asking.left.Add(-int64(n))
	return n, err
}

// unmarked is a storage whose own requests are none of a cache, even where they serve one that is.
type unmarked struct{ storagedriver.StorageDriver }

// GetContent implements storagedriver.StorageDriver.
func (u unmarked) GetContent(ctx context.Context, path string) ([]byte, error) {
	return u.StorageDriver.GetContent(notFromUpstream(ctx), path)
}

// PutContent implements storagedriver.StorageDriver.
func (u unmarked) PutContent(ctx context.Context, path string, content []byte) error {
	return u.StorageDriver.PutContent(notFromUpstream(ctx), path, content)
}

// Reader implements storagedriver.StorageDriver.
func (u unmarked) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	return u.StorageDriver.Reader(notFromUpstream(ctx), path, offset)
}

// Writer implements storagedriver.StorageDriver.
func (u unmarked) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	return u.StorageDriver.Writer(notFromUpstream(ctx), path, more)
}

// Stat implements storagedriver.StorageDriver.
func (u unmarked) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	return u.StorageDriver.Stat(notFromUpstream(ctx), path)
}

// List implements storagedriver.StorageDriver.
func (u unmarked) List(ctx context.Context, path string) ([]string, error) {
	return u.StorageDriver.List(notFromUpstream(ctx), path)
}

// Move implements storagedriver.StorageDriver.
func (u unmarked) Move(ctx context.Context, from, to string) error {
	return u.StorageDriver.Move(notFromUpstream(ctx), from, to)
}

// Delete implements storagedriver.StorageDriver.
func (u unmarked) Delete(ctx context.Context, path string) error {
	return u.StorageDriver.Delete(notFromUpstream(ctx), path)
}

// Walk implements storagedriver.StorageDriver.
func (u unmarked) Walk(ctx context.Context, path string, visit storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	return u.StorageDriver.Walk(notFromUpstream(ctx), path, visit, options...)
}
