package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"ndock/docker/transfer"
)

// resumingTransport resumes broken downloads. The reader verifies the digest of the whole blob, as for any blob.
type resumingTransport struct {
	next    http.RoundTripper
	retries int // most resumptions of one download
}

// RoundTrip implements http.RoundTripper.
func (t resumingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil || !resumable(r, response) {
		return response, err
	}
	resumed := &download{next: t.next, request: r, size: response.ContentLength}
	response.Body = transfer.NewBody(r.Context(), response.Body, resumed.size, t.retries, resumed.openRest)
	return response, nil
}

// resumable reports whether an answer has a body of known size, of which a range can be requested.
func resumable(r *http.Request, response *http.Response) bool {
	return r.Method == http.MethodGet && r.Header.Get("Range") == "" && response.StatusCode == http.StatusOK &&
		response.ContentLength > 0 && !response.Uncompressed
}

// download is a request whose answer may have to be resumed.
type download struct {
	next    http.RoundTripper
	request *http.Request
	size    int64
}

// openRest opens the rest of a download. If a link to storage or a token has expired, it gets a new one.
func (d *download) openRest(ctx context.Context, from int64) (io.ReadCloser, error) {
	response, err := d.requestRange(ctx, d.next, d.request, from)
	if err != nil {
		return nil, err
	}
	if isExpiredLink(response.StatusCode) {
		if renewed, err := d.renew(ctx, from); err == nil { // otherwise the refusal says more
			response.Body.Close()
			response = renewed
		}
	}
	return transfer.Rest(response, from, d.size)
}

func (d *download) requestRange(ctx context.Context, by http.RoundTripper, request *http.Request, from int64) (*http.Response, error) {
	request = request.Clone(ctx)
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, d.size-1))
	return by.RoundTrip(request)
}

// isExpiredLink reports whether a storage or registry answers like this to an expired link or token.
func isExpiredLink(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusGone
}

// renew logs in again, because the token may have expired too, and asks the registry again. It follows a redirect to
// the same storage only: that address was checked when the download began.
func (d *download) renew(ctx context.Context, from int64) (*http.Response, error) {
	first := transfer.OriginalRequest(d.request)
	registry, err := reauthenticate(ctx, d.next, first.URL)
	if err != nil {
		return nil, err
	}
	response, err := d.requestRange(ctx, registry, first, from)
	if err != nil || first == d.request {
		return response, err
	}
	response.Body.Close()
	location, err := response.Location()
	if err != nil {
		return nil, err
	}
	if location.Host != d.request.URL.Host || location.Scheme != d.request.URL.Scheme {
		return nil, errors.New("it has moved to another host")
	}
	renewed := d.request.Clone(ctx)
	renewed.URL = location
	d.request = renewed
	return d.requestRange(ctx, d.next, renewed, from)
}

// reauthenticate returns a transport to a blob's registry with a new token.
func reauthenticate(ctx context.Context, next http.RoundTripper, blob *url.URL) (http.RoundTripper, error) {
	path, _, isBlob := strings.Cut(strings.TrimPrefix(blob.Path, "/v2/"), "/blobs/")
	if !isBlob {
		return nil, errors.New("it is no blob")
	}
	var options []name.Option
	if blob.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(blob.Host+"/"+path, options...)
	if err != nil {
		return nil, err
	}
	login, err := authn.Resolve(ctx, authn.DefaultKeychain, repository)
	if err != nil {
		return nil, err
	}
	return transport.NewWithContext(ctx, repository.Registry, login, next, []string{repository.Scope(transport.PullScope)})
}
