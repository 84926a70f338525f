package openstack

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
)

func TestCleanMessage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"Nova":            {`{"itemNotFound": {"code": 404, "message": "Instance nope could not be found."}}`, "Instance nope could not be found."},
		"Neutron":         {`{"NeutronError": {"type": "NetworkNotFound", "message": "Network nope could not be found.", "detail": ""}}`, "Network nope could not be found."},
		"Keystone":        {`{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`, "The request you have made requires authentication."},
		"Placement":       {`{"errors": [{"status": 403, "title": "Forbidden", "detail": "Access was denied to this resource.\n\n Policy does not allow it.  ", "request_id": "req-1"}]}`, "Access was denied to this resource. Policy does not allow it."},
		"Glance":          {"<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID nope<br /><br />\n\n\n\n </body>\n</html>", "No image found with ID nope"},
		"Glance, as JSON": {`{"message": "Attribute 'a<c>' is reserved.<br /><br />\n\n\n", "code": "403 Forbidden", "title": "Forbidden"}`, "Attribute 'a<c>' is reserved."},
		"Glance, escaped": {"<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID a&#x27;b&lt;c&gt;<br /><br />\n </body>\n</html>", "No image found with ID a'b<c>"},
		"Glance, in JSON": {`{"message": "Image nope is protected and cannot be deleted.<br /><br />\n\n\n", "code": "403 Forbidden", "title": "Forbidden"}`, "Image nope is protected and cannot be deleted."},
		"a proxy":         {"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n", "No server is available to handle this request."},
		"plain":           {"Bad\r\ngateway\n", "Bad gateway"},
		"many lines":      {`{"badRequest": {"code": 400, "message": "Invalid input.\nValue: x"}}`, "Invalid input. Value: x"},
		"empty":           {"", ""},
		"no message":      {`{"computeFault": {"code": 500}}`, ""},
		"not objects":     {`[1, "two", null]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cleanMessage([]byte(test.body)); got != test.want {
				t.Errorf("message %q, want %q", got, test.want)
			}
		})
	}
}

func refusal(status int, body string) error {
	return gophercloud.ErrUnexpectedResponseCode{
		Actual: status, Body: []byte(body), ResponseHeader: http.Header{"X-Openstack-Request-Id": {"req-7"}},
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err        error
		want, hint string
	}{
		"a service's sentence": {refusal(409, `{"conflictingRequest": {"message": "It is busy."}}`), "do it: It is busy. (req-7)", ""},
		"no sentence":          {refusal(503, ""), "do it: Service Unavailable (req-7)", ""},
		"no sentence in HTML":  {refusal(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"), "do it: Bad Gateway (req-7)", ""},
		"no credentials":       {refusal(401, `{"error": {"message": "No."}}`), "do it: No. (req-7)", "check the credentials, or the token's age; 'openstack token issue' tries the same ones"},
		"no right":             {refusal(403, `{"forbidden": {"message": "Policy doesn't allow it."}}`), "do it: Policy doesn't allow it. (req-7)", "the cloud's policy does not let this user do that; an administrator may"},
		"Nova's quota":         {refusal(403, `{"forbidden": {"message": "Quota exceeded for instances: Requested 1"}}`), "do it: Quota exceeded for instances: Requested 1 (req-7)", "'openstack limits show --absolute' shows the quota"},
		"Nova's other quota":   {refusal(403, `{"forbidden": {"message": "Maximum number of metadata items exceeds 128"}}`), "do it: Maximum number of metadata items exceeds 128 (req-7)", "'openstack limits show --absolute' shows the quota"},
		"Glance's quota":       {refusal(413, "Image exceeds the storage quota"), "do it: Image exceeds the storage quota (req-7)", "'openstack limits show --absolute' shows the quota"},
		"no service at all":    {errors.New("connection refused"), "do it: connection refused", ""},
		"after a second login": {&gophercloud.ErrErrorAfterReauthentication{ErrOriginal: refusal(401, `{"error": {"message": "No."}}`)}, "do it: No. (req-7)", "check the credentials, or the token's age; 'openstack token issue' tries the same ones"},
		"no second login":      {&gophercloud.ErrUnableToReauthenticate{ErrOriginal: refusal(401, "x"), ErrReauth: refusal(401, `{"error": {"message": "No."}}`)}, "do it: No. (req-7)", "check the credentials, or the token's age; 'openstack token issue' tries the same ones"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *Error
			if !errors.As(explain("do it", test.err), &got) {
				t.Fatal("not an *Error")
			}
			if got.Error() != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
			if got.Hint() != test.hint {
				t.Errorf("hint %q, want %q", got.Hint(), test.hint)
			}
		})
	}
}

func TestExplainKeepsTheCause(t *testing.T) {
	t.Parallel()
	if err := explain("do it", refusal(404, "gone")); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("%v is no 404 any more", err)
	}
}

// TestLoginElsewhere logs in where no Keystone is, each time for another reason.
func TestLoginElsewhere(t *testing.T) {
	t.Parallel()
	answering := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	breaking := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"token": `))
	}))
	t.Cleanup(breaking.Close)
	ending := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(ending.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := answering(http.StatusOK, "")
	host := func(address string) string { _, host, _ := strings.Cut(address, "://"); return host }
	for name, test := range map[string]struct{ url, want string }{
		"another service":    {plain, ": what answers there is not Keystone: it says 200 OK"},
		"another's JSON":     {answering(http.StatusCreated, `["nothing"]`), ": what answers there is not Keystone: it sends no token"},
		"no JSON":            {answering(http.StatusCreated, "Hello"), ": what answers there is not Keystone: it sends no token"},
		"nothing":            {answering(http.StatusCreated, ""), ": Keystone's answer broke off"},
		"a part":             {breaking.URL, ": Keystone's answer broke off"},
		"no POST":            {answering(http.StatusNotImplemented, "Unsupported method"), ": Unsupported method"},
		"another path":       {answering(http.StatusNotFound, ""), ": Keystone is not there: Not Found"},
		"a path of no page":  {answering(http.StatusNotFound, "no such page"), ": Keystone is not there: no such page"},
		"a connection ends":  {ending.URL, ": no answer from " + host(ending.URL) + ": it broke the connection off"},
		"nobody listens":     {"http://127.0.0.1:1", ": no answer from 127.0.0.1:1: connection refused"},
		"no TLS":             {"https://" + host(plain), ": no answer from " + host(plain) + ": it speaks plain HTTP, and not TLS"},
		"no plain HTTP":      {"http://" + host(secure.URL), ": Client sent an HTTP request to an HTTPS server."},
		"no scheme":          {"127.0.0.1:5000/v3", ": auth_url: it does not begin with http:// or https://"},
		"no scheme, no port": {"foo/v3", ": auth_url: it does not begin with http:// or https://"},
		"another scheme":     {"ftp://foo/v3", ": auth_url: it begins with ftp://, and Keystone's with http:// or https://"},
		"no host":            {"http:///v3", ": auth_url: it names no host"},
		"no port":            {"http://foo:port/v3", ": auth_url: it is no address of HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": test.url, "OS_USERNAME": "u", "OS_PASSWORD": "x"}))
			var failed *Error
			if !errors.As(err, &failed) || !strings.HasSuffix(err.Error(), test.want) {
				t.Fatalf("%v does not end with %q", err, test.want)
			}
			if !strings.Contains(failed.Hint(), "https://KEYSTONE:5000/v3") {
				t.Errorf("hint %q", failed.Hint())
			}
		})
	}
}

// TestLoginRefused: Keystone that answers is not looked for elsewhere.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusUnauthorized: "log in: No. (req-7)", http.StatusForbidden: "log in: No. (req-7)",
		http.StatusServiceUnavailable: "log in: No. (req-7)",
	} {
		got := explainLogin("log in", refusal(status, `{"error": {"message": "No."}}`))
		if got.Error() != want || strings.Contains(got.Hint(), "KEYSTONE") || !gophercloud.ResponseCodeIs(got, status) {
			t.Errorf("%d: %q, hint %q", status, got, got.Hint())
		}
	}
	if got := explainLogin("log in", context.Canceled); got.Hint() != "" || !errors.Is(got, context.Canceled) {
		t.Errorf("interrupted: %q, hint %q", got, got.Hint())
	}
	if got := explainLogin("log in", io.EOF); !errors.Is(got, io.EOF) {
		t.Errorf("%v has no cause", got)
	}
}
