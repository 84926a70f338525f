package transport

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrRedirected is the error of a request to a service that has moved to where nothing is sent. To try again is of no use.
var ErrRedirected = errors.New("it has moved")

// CheckRedirect makes the same request where a service has moved to, as keystoneauth does; net/http would make a GET of it.
// Neither a login nor a token goes to another host, or without TLS where there was TLS: that fails with ErrRedirected.
func CheckRedirect(r *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > 5:
		return fmt.Errorf("%w: %s redirects again and again", ErrRedirected, first.URL.Host)
	case !strings.EqualFold(r.URL.Hostname(), first.URL.Hostname()):
		return fmt.Errorf("%w: %s redirects to %s, another host, to which no login is sent; if it is the right one, name it in auth_url or in the service's endpoint_override", ErrRedirected, first.URL.Host, r.URL.Redacted())
	case first.URL.Scheme == "https" && r.URL.Scheme != "https":
		return fmt.Errorf("%w: %s redirects to %s, without TLS, where no login is sent", ErrRedirected, first.URL.Host, r.URL.Redacted())
	case r.Method == first.Method && (first.GetBody == nil || r.Body != nil):
		return nil
	case first.Body != nil && first.GetBody == nil:
		return fmt.Errorf("%w: the upload to %s is redirected to %s, which the catalogue should have", ErrRedirected, first.URL.Host, r.URL.Redacted())
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
