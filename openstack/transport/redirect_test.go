package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRedirectedTwice: a login comes with its body to where it is redirected in two ways.
func TestRedirectedTwice(t *testing.T) {
	t.Parallel()
	var got string
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusMovedPermanently))
	mux.Handle("/new", http.RedirectHandler("/new/", http.StatusPermanentRedirect))
	mux.HandleFunc("/new/", func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = r.Method + " " + r.Header.Get("Content-Type") + " " + string(body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client := http.Client{CheckRedirect: CheckRedirect}
	answer, err := client.Post(server.URL+"/old", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if want := "POST application/json {}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
