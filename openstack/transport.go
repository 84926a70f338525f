package openstack

import (
	"context"
	"net/http"
	"strconv"
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
