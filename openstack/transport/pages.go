package transport

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// pageGuard asks for a further page of a list only where a first page was asked for, and with TLS where that was. A
// service names its pages itself: behind a proxy that ends TLS without it, and a hostile one anywhere, so that the token
// would be sent for others to read.
type pageGuard struct {
	next http.RoundTripper
	tls  sync.Map // whether a host, or a service below a path of it, was asked with TLS
}

// RoundTrip implements http.RoundTripper.
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
