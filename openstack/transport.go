package openstack

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// longestBackoff is how long a service that has had too many requests is waited for, before one more is made.
const longestBackoff = time.Minute

// backoff waits as long as a service says that has had too many requests. An upload is not sent again: its body has
// flowed by.
func backoff(ctx context.Context, refused *gophercloud.ErrUnexpectedResponseCode, _ error, tries uint) error {
	if refused.Method == http.MethodPut {
		return *refused
	}
	select {
	case <-time.After(min(retryAfter(refused.ResponseHeader.Get("Retry-After"), tries), longestBackoff)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads the header, which has seconds or a date, and may be missing.
func retryAfter(header string, tries uint) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return time.Until(date)
	}
	return time.Second << min(tries, 6)
}

// tlsKeeper asks with TLS for a further page of a list whose first page came with TLS. Behind a proxy that ends TLS a
// service names its pages without, and the token would be sent for all to read.
type tlsKeeper struct {
	next  http.RoundTripper
	hosts sync.Map // that were asked with TLS
}

// RoundTrip does it.
func (k *tlsKeeper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		k.hosts.Store(r.URL.Host, true)
	} else if _, known := k.hosts.Load(r.URL.Host); known && r.URL.Query().Has("marker") {
		r = r.Clone(r.Context())
		r.URL.Scheme = "https"
	}
	return k.next.RoundTrip(r)
}

// redirected makes the same request where a service has moved to, as keystoneauth does; net/http would make a GET of it.
// Neither a login nor a token goes to another host, or without TLS where there was TLS.
func redirected(r *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > 5:
		return fmt.Errorf("%s redirects again and again", first.URL.Host)
	case r.URL.Hostname() != first.URL.Hostname():
		return fmt.Errorf("%s redirects to %s, another host, to which no login is sent; if it is the right one, name it", first.URL.Host, r.URL.Redacted())
	case first.URL.Scheme == "https" && r.URL.Scheme != "https":
		return fmt.Errorf("%s redirects to %s, without TLS, where no login is sent", first.URL.Host, r.URL.Redacted())
	case r.Method == first.Method:
		return nil
	case first.Body != nil && first.GetBody == nil:
		return errors.New("what has flowed by cannot be sent again to where it is redirected")
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

// pageRefuser turns a web page that comes in place of a service's answer, as from a guest network's login, into an error
// that says so. Errors may be pages: Glance's are.
type pageRefuser struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t pageRefuser) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if err != nil || !hasContent(r, answer) {
		return answer, err
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != "text/html" {
		return answer, nil
	}
	answer.Body.Close()
	return nil, fmt.Errorf("%s answered with a web page: it is no service of OpenStack, or a proxy or a network's login page answers for it", r.URL.Host)
}

// hasContent tells whether an answer brings what was asked for, or a token. All else that succeeds has no body, or one
// that nobody reads, and services give it any type.
func hasContent(r *http.Request, answer *http.Response) bool {
	success := answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusCreated
	return success && answer.ContentLength != 0 && (r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/auth/tokens"))
}
