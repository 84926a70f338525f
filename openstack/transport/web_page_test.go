package transport

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestEmptyAnswer: services say of an answer without a body that it is a page, as of an action or a deletion. It is none.
func TestEmptyAnswer(t *testing.T) {
	t.Parallel()
	for _, empty := range []struct {
		method string
		status int
	}{{http.MethodGet, http.StatusNoContent}, {http.MethodGet, http.StatusOK}, {http.MethodPost, http.StatusAccepted}, {http.MethodPut, http.StatusNoContent}, {http.MethodDelete, http.StatusNoContent}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=UTF-8")
			w.WriteHeader(empty.status)
		}))
		t.Cleanup(server.Close)
		request, err := http.NewRequest(empty.method, server.URL+"/v2/images/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Client{Transport: htmlRefuser{http.DefaultTransport}}).Do(request)
		if err != nil {
			t.Errorf("%v: %v", empty, err)
			continue
		}
		answer.Body.Close()
	}
}

// TestWebPage: a network's login page is not taken for a service's answer, whichever it comes in place of; a service's
// error that is a page is left as it is.
func TestWebPage(t *testing.T) {
	t.Parallel()
	for status, page := range map[int]bool{http.StatusOK: true, http.StatusCreated: true, http.StatusNotFound: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html>Welcome to the guest network</html>")
		}))
		t.Cleanup(server.Close)
		answer, err := htmlRefuser{http.DefaultTransport}.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL+"/v2/images", nil))
		if page != (err != nil && strings.Contains(err.Error(), "a web page")) {
			t.Errorf("%d: error %v", status, err)
		}
		if err == nil {
			answer.Body.Close()
		}
	}
}
