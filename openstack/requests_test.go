package openstack

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"ndock/openstack/internal/openstacktest"
)

// TestPagesKeepTLS: Nova behind a proxy that ends TLS names the next page without TLS.
func TestPagesKeepTLS(t *testing.T) {
	t.Parallel()
	var pages atomic.Int32
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Subject-Token", "token")
		w.Header().Set("Content-Type", "application/json")
		plain := "http://" + r.Host + "/v2.1/servers/detail?marker="
		answer := map[string]any{"servers": []any{map[string]any{"id": "1", "name": "first"}}, "servers_links": []any{map[string]any{"rel": "next", "href": plain + "1"}}}
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			answer = map[string]any{"token": map[string]any{"catalog": []any{map[string]any{"type": "compute", "endpoints": []any{map[string]any{"interface": "public", "url": server.URL}}}}}}
		case r.URL.Query().Get("marker") == "1":
			answer = map[string]any{"servers": []any{map[string]any{"id": "2", "name": "second"}}, "servers_links": []any{map[string]any{"rel": "next", "href": plain + "2"}}}
			pages.Add(1)
		case r.URL.Query().Get("marker") == "2":
			answer = map[string]any{"servers": []any{}}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	cloud, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL, "OS_USERNAME": "u", "OS_PASSWORD": "x", "OS_INSECURE": "true"}))
	if err != nil {
		t.Fatal(err)
	}
	found, err := cloud.Servers(t.Context())
	if err != nil || len(found) != 2 || pages.Load() != 1 {
		t.Errorf("%d servers (%v), want 2", len(found), err)
	}
}

// TestIPv6Literal: addresses in brackets.
func TestIPv6Literal(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here: ", err)
	}
	recorder := newRecorder(t)
	server := httptest.NewUnstartedServer(recorder)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	cloud, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL + "/six", "OS_USERNAME": "u", "OS_PASSWORD": "x", "OS_IMAGE_ENDPOINT_OVERRIDE": server.URL + "/six/image"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cloud.Images(t.Context()); err != nil || !strings.Contains(recorder.outcome("six"), "image/v2/images") {
		t.Errorf("%s (%v)", recorder.outcome("six"), err)
	}
}

// TestTokenEndsMeanwhile: a token that ends while a command runs is had anew, once.
func TestTokenEndsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env    map[string]string
		logins int32
		want   string // of the error; empty for none
	}{
		"password":               {map[string]string{"OS_USERNAME": "u", "OS_PASSWORD": "x"}, 2, ""},
		"application credential": {map[string]string{"OS_APPLICATION_CREDENTIAL_ID": "i", "OS_APPLICATION_CREDENTIAL_SECRET": "s"}, 2, ""},
		"passcode":               {map[string]string{"OS_AUTH_TYPE": "v3totp", "OS_USERNAME": "u", "OS_PASSCODE": "1"}, 1, "list images: Unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logins atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case r.Method == http.MethodPost:
					w.Header().Set("X-Subject-Token", fmt.Sprintf("token-%d", logins.Add(1)))
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, `{"token": {}}`)
				case r.Header.Get("X-Auth-Token") == "token-1":
					w.WriteHeader(http.StatusUnauthorized)
				default:
					fmt.Fprint(w, `{"images": []}`)
				}
			}))
			t.Cleanup(server.Close)
			test.env["OS_AUTH_URL"], test.env["OS_IMAGE_ENDPOINT_OVERRIDE"] = server.URL, server.URL+"/image"
			cloud, err := logIn(t, variables(test.env))
			if err != nil {
				t.Fatal(err)
			}
			_, err = cloud.Images(t.Context())
			if test.want != "" {
				openstacktest.WantError(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
			if logins.Load() != test.logins {
				t.Errorf("%d logins, want %d", logins.Load(), test.logins)
			}
		})
	}
}

// TestRedirectedElsewhere: a login and a token go to no host that the user has not named.
func TestRedirectedElsewhere(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(t)
	elsewhere := strings.Replace(recorder.URL, "127.0.0.1", "localhost", 1) + "/elsewhere"
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, status)
		}))
		t.Cleanup(server.Close)
		_, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL, "OS_USERNAME": "u", "OS_PASSWORD": "hunter2"}))
		openstacktest.WantError(t, err, "redirects to "+elsewhere+"/v3/auth/tokens, another host")
		if got := recorder.outcome("elsewhere"); got != "nothing sent" {
			t.Errorf("%d: elsewhere got %s", status, got)
		}

		cloud, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": recorder.URL + "/here", "OS_USERNAME": "u", "OS_PASSWORD": "x", "OS_IMAGE_ENDPOINT_OVERRIDE": server.URL}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = cloud.Images(t.Context())
		openstacktest.WantError(t, err, "another host")
	}
}

// TestRedirectWithoutTLS: nor without TLS where there was TLS.
func TestRedirectWithoutTLS(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, recorder.URL+"/plain"+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	_, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL, "OS_USERNAME": "u", "OS_PASSWORD": "hunter2", "OS_INSECURE": "true"}))
	openstacktest.WantError(t, err, "without TLS")
	if got := recorder.outcome("plain"); got != "nothing sent" {
		t.Errorf("in the clear: %s", got)
	}
}

// TestKeystoneNamesAnotherAddress: what Keystone says of its own address is not followed (gophercloud 2152).
func TestKeystoneNamesAnotherAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost && r.URL.Path == "/identity/v3/auth/tokens" {
			w.Header().Set("X-Subject-Token", "token")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"token": {}}`)
			return
		}
		fmt.Fprint(w, `{"versions": {"values": [{"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "https://127.0.0.1:1/v3/"}]}]}}`)
	}))
	t.Cleanup(server.Close)
	for _, path := range []string{"/identity", "/identity/", "/identity/v3", "/identity/v3/", "/identity/v2.0"} {
		if _, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL + path, "OS_USERNAME": "u", "OS_PASSWORD": "x"})); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestLoginGetsAWebPage: a network's login page is not taken for Keystone's answer; an error of Keystone that is a page is.
func TestLoginGetsAWebPage(t *testing.T) {
	t.Parallel()
	for status, page := range map[int]bool{http.StatusOK: true, http.StatusCreated: true, http.StatusNotFound: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>Welcome to the guest network</html>")
		}))
		t.Cleanup(server.Close)
		_, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL + "/v3", "OS_USERNAME": "u", "OS_PASSWORD": "x"}))
		if err == nil || strings.Contains(err.Error(), "a web page") != page {
			t.Errorf("%d: error %v", status, err)
		}
	}
}
