package transport

import (
	"fmt"
	"net/http"
	"strings"

	"ndock/docker/transfer"
)

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
