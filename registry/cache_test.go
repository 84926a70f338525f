package registry

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"ndock/registry/htpasswd"
)

// A pull-through cache gives what its upstream has, goes on with what it has got when that is away, also from a start
// on, and takes nothing itself.
func TestCache(t *testing.T) {
	login, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	upstream := serve(t, ServeOptions{Htpasswd: write(t, login.Line())})
	upstream.user, upstream.password = "ci", "secret"
	cached, other := upstream.pushBlob(t, "app", []byte("cached")), upstream.pushBlob(t, "app", []byte("other"))
	o := ServeOptions{Data: t.TempDir(), Proxy: ProxyOptions{URL: upstream.url, User: "ci", PasswordFile: write(t, []byte("secret\n"))}}

	cache := serve(t, o)
	pull := func(r *served, status int, digest string) {
		t.Helper()
		r.want(t, status, r.do(t, http.MethodGet, "/v2/app/blobs/"+digest, nil))
	}
	pull(cache, http.StatusOK, cached)
	cache.want(t, http.StatusMethodNotAllowed, cache.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil))
	upstream.end()
	pull(cache, http.StatusOK, cached)
	if err := cache.end(); err != nil {
		t.Error(err)
	}

	again := serve(t, o)
	pull(again, http.StatusOK, cached)
	pull(again, http.StatusNotFound, other)
	again.want(t, http.StatusMethodNotAllowed, again.do(t, http.MethodPost, "/v2/app/blobs/uploads/", nil))
	if err := again.end(); err != nil {
		t.Error(err)
	}
}

func TestCacheRefuses(t *testing.T) {
	for want, o := range map[string]ProxyOptions{
		"--proxy is missing":                                {User: "ci"},
		"--proxy-user and --proxy-password-file":            {URL: "http://127.0.0.1:1", User: "ci"},
		"--proxy is not a URL":                              {URL: "registry.example.com"},
		"--proxy has a login in it":                         {URL: "https://ci:secret@registry.example.com"},
		"read the upstream's password: open /nowhere: no s": {URL: "http://127.0.0.1:1", User: "ci", PasswordFile: "/nowhere"},
	} {
		wantError(t, Serve(t.Context(), ServeOptions{
			Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data"), Proxy: o, Log: slog.New(slog.DiscardHandler),
		}), want)
	}
}
