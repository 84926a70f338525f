package transport

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ndock/openstack/internal/openstacktest"
)

// TestPagesElsewhere: a further page that is named on another host is not asked for.
func TestPagesElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked with the token %q", r.Header.Get("X-Auth-Token"))
	}))
	t.Cleanup(elsewhere.Close)
	guard := &pageGuard{next: http.DefaultTransport}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, elsewhere.URL+"/v2.1/servers/detail?marker=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Auth-Token", "secret")
	_, err = guard.RoundTrip(request)
	if err == nil || !strings.Contains(err.Error(), "another host") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line about another host", err)
	}
}

// TestPagesOfPlainServices: one host may have a service with TLS and one without.
func TestPagesOfPlainServices(t *testing.T) {
	t.Parallel()
	var asked []string
	guard := &pageGuard{next: openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Scheme)
		return &http.Response{Body: http.NoBody}, nil
	})}
	for _, address := range []string{"https://h/identity/v3", "http://h/compute/v2.1/servers", "http://h/compute/v2.1/servers?marker=1", "http://h/identity/v3/users?marker=1"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := guard.RoundTrip(request); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"https", "http", "http", "https"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
