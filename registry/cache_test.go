package registry

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"ndock/registry/htpasswd"
	"ndock/registry/keystone"
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
	o := ServeOptions{Data: t.TempDir(), Proxy: ProxyOptions{URL: upstream.url, User: "ci", PasswordFile: write(t, []byte("secret\n")), Public: true}}

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

// A cache that has a login at its upstream gives nothing of it to anyone, unless that is said.
func TestCacheWithLoginNeedsLogins(t *testing.T) {
	login, err := htpasswd.New("ann", "own")
	if err != nil {
		t.Fatal(err)
	}
	proxy := ProxyOptions{URL: "http://127.0.0.1:1", User: "ci", PasswordFile: write(t, []byte("secret\n"))}
	const refusal = "this cache has a login at http://127.0.0.1:1, and would give to anyone what only that may read there"
	for _, o := range []ServeOptions{
		{Proxy: proxy},
		{Proxy: proxy, Keystone: keystone.Options{URL: "http://127.0.0.1:1/v3", Read: keystone.ReadAnyone}},
		{Config: write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\nproxy: {remoteurl: http://127.0.0.1:1, username: ci, password: secret}\n"))},
	} {
		o.Listen, o.Data, o.Log = "127.0.0.1:0", t.TempDir(), slog.New(slog.DiscardHandler)
		wantError(t, Serve(t.Context(), o), refusal)
	}
	r := serve(t, ServeOptions{Proxy: proxy, Htpasswd: write(t, login.Line())})
	r.want(t, http.StatusUnauthorized, r.do(t, http.MethodGet, "/v2/", nil))
	r.user, r.password = "ann", "own"
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/", nil))
	s := newSite(t)
	s.options.Proxy = proxy
	s.fails(refusal)
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
