package openstack

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"ndock/docker/transfer"
)

// pageGuard asks for a further page of a list only where a first page was asked for, and with TLS where that was. A
// service names its pages itself: behind a proxy that ends TLS without it, and a hostile one anywhere, so that the token
// would be sent for others to read.
type pageGuard struct {
	next http.RoundTripper
	tls  sync.Map // whether a host, or a service below a path of it, was asked with TLS
}

// RoundTrip does it.
func (g *pageGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	service := r.URL.Host + "/" + firstSegment(r.URL.Path)
	if !r.URL.Query().Has("marker") {
		g.tls.Store(r.URL.Host, r.URL.Scheme == "https")
		g.tls.Store(service, r.URL.Scheme == "https")
		return g.next.RoundTrip(r)
	}
	withTLS, known := g.tls.Load(service)
	if !known {
		withTLS, known = g.tls.Load(r.URL.Host)
	}
	if !known {
		return nil, fmt.Errorf("a list goes on at %s, another host, to which no token is sent: the service or the proxy before it must name its own address", r.URL.Host)
	}
	if withTLS == true && r.URL.Scheme != "https" {
		r = r.Clone(r.Context())
		r.URL.Scheme = "https"
	}
	return g.next.RoundTrip(r)
}

func firstSegment(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// errRedirected says that a service has moved to where nothing is sent. To try again is of no use.
var errRedirected = errors.New("it has moved")

// redirected makes the same request where a service has moved to, as keystoneauth does; net/http would make a GET of it.
// Neither a login nor a token goes to another host, or without TLS where there was TLS.
func redirected(r *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > 5:
		return fmt.Errorf("%w: %s redirects again and again", errRedirected, first.URL.Host)
	case !strings.EqualFold(r.URL.Hostname(), first.URL.Hostname()):
		return fmt.Errorf("%w: %s redirects to %s, another host, to which no login is sent; if it is the right one, name it in auth_url or in the service's endpoint_override", errRedirected, first.URL.Host, r.URL.Redacted())
	case first.URL.Scheme == "https" && r.URL.Scheme != "https":
		return fmt.Errorf("%w: %s redirects to %s, without TLS, where no login is sent", errRedirected, first.URL.Host, r.URL.Redacted())
	case r.Method == first.Method && (first.GetBody == nil || r.Body != nil):
		return nil
	case first.Body != nil && first.GetBody == nil:
		return fmt.Errorf("%w: the upload to %s is redirected to %s, which the catalogue should have", errRedirected, first.URL.Host, r.URL.Redacted())
	}
	r.Method = first.Method
	if first.GetBody == nil {
		return nil
	}
	body, err := first.GetBody()
	r.Body, r.GetBody, r.ContentLength = body, first.GetBody, first.ContentLength
	r.Header.Set("Content-Type", first.Header.Get("Content-Type"))
	return err
}

// htmlRefuser turns a web page that comes in place of a service's answer, as from a guest network's login, into an error
// that says so. Errors may be pages: Glance's are.
type htmlRefuser struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t htmlRefuser) RoundTrip(r *http.Request) (*http.Response, error) {
	got, err := t.next.RoundTrip(r)
	if err != nil || !hasContent(r, got) {
		return got, err
	}
	if !transfer.IsWebPage(got) {
		return got, nil
	}
	got.Body.Close()
	return nil, fmt.Errorf("%s answered with a web page: it is no service of OpenStack, or a proxy or a network's login page answers for it", r.URL.Host)
}

// hasContent tells whether an answer brings what was asked for, or a token. All else that succeeds has no body, or one
// that nobody reads, and services give it any type.
func hasContent(r *http.Request, got *http.Response) bool {
	success := got.StatusCode == http.StatusOK || got.StatusCode == http.StatusCreated
	return success && got.ContentLength != 0 && (r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/auth/tokens"))
}
