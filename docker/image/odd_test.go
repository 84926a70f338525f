package image

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// answered changes a registry's answers before they are sent.
func answered(change func(r *http.Request, answer *httptest.ResponseRecorder)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			change(r, answer)
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}
}

// first changes the first successful answers of one kind.
func first(method, path string, times int32, change func(answer *httptest.ResponseRecorder)) func(http.Handler) http.Handler {
	var seen atomic.Int32
	return answered(func(r *http.Request, answer *httptest.ResponseRecorder) {
		if r.Method == method && strings.Contains(r.URL.Path, path) && answer.Code < http.StatusMultipleChoices && seen.Add(1) <= times {
			change(answer)
		}
	})
}

func always(method, path string, change func(answer *httptest.ResponseRecorder)) func(http.Handler) http.Handler {
	return first(method, path, 1<<30, change)
}

func status(code int) func(*httptest.ResponseRecorder) {
	return func(answer *httptest.ResponseRecorder) { answer.Code = code }
}

// notFound is the answer of a registry that does not have something yet.
func notFound(answer *httptest.ResponseRecorder) {
	answer.Body.Reset()
	answer.Header().Del("Content-Length")
	answer.Code = http.StatusNotFound
}

// bearer requires a token, with this challenge. After the first request of the method has been read, all earlier
// tokens have expired.
func bearer(challenge, answer, method string) func(http.Handler) http.Handler {
	var issued, expired, seen atomic.Int32
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var token int32
			if r.URL.Path == "/token" {
				fmt.Fprintf(w, answer, issued.Add(1))
				return
			}
			if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer t%d", &token); err == nil && r.Method == method && seen.Add(1) == 1 {
				_, _ = io.Copy(io.Discard, r.Body)
				expired.Store(issued.Load())
			}
			if token > expired.Load() {
				next.ServeHTTP(w, r)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("WWW-Authenticate", strings.ReplaceAll(challenge, "HOST", r.Host))
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		})
	}
}

// movedOnce redirects the start of an upload.
func movedOnce(code int) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.RawQuery == "" {
				http.Redirect(w, r, r.URL.Path+"?moved=1", code)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// relative removes the host from the address at which an upload continues.
func relative(_ *http.Request, answer *httptest.ResponseRecorder) {
	if _, rest, found := strings.Cut(answer.Header().Get("Location"), "://"); found {
		_, path, _ := strings.Cut(rest, "/")
		answer.Header().Set("Location", "/"+path)
	}
}

// encoded declares a compressed layer as an encoded one, if the client accepts that encoding.
func encoded(r *http.Request, answer *httptest.ResponseRecorder) {
	if r.Method == http.MethodGet && strings.HasPrefix(answer.Body.String(), "\x1f\x8b") && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		answer.Header().Set("Content-Encoding", "gzip")
	}
}

// withoutLength answers HEAD without a length.
func withoutLength(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		w.Header().Set("Transfer-Encoding", "identity")
		w.WriteHeader(answer.Code)
	})
}

// requiresLength refuses requests that do not state their length.
func requiresLength(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 {
			w.WriteHeader(http.StatusLengthRequired)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const challenge = `Bearer realm="http://HOST/token",service="registry",scope="repository:site/web:pull,push"`

// TestOddRegistries: ndock copes with these deviations of registries and proxies.
func TestOddRegistries(t *testing.T) {
	t.Parallel()
	unknown := `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`
	for name, odd := range map[string]func() func(http.Handler) http.Handler{
		"relative locations":    func() func(http.Handler) http.Handler { return answered(relative) },
		"204 to a part":         func() func(http.Handler) http.Handler { return always("PATCH", "", status(http.StatusNoContent)) },
		"HEAD without a length": func() func(http.Handler) http.Handler { return withoutLength },
		"HEAD fails once":       func() func(http.Handler) http.Handler { return refusing("HEAD", "/blobs/", 500, "", 1) },
		"308 to an upload":      func() func(http.Handler) http.Handler { return movedOnce(http.StatusPermanentRedirect) },
		"blobs come late":       func() func(http.Handler) http.Handler { return first("HEAD", "/blobs/", 1, notFound) },
		"manifest comes late":   func() func(http.Handler) http.Handler { return first("GET", "/manifests/", 1, notFound) },
		"blobs come later":      func() func(http.Handler) http.Handler { return refusing("PUT", "/manifests/", 400, unknown, 1) },
		"no digest": func() func(http.Handler) http.Handler {
			return answered(func(_ *http.Request, a *httptest.ResponseRecorder) { a.Header().Del("Docker-Content-Digest") })
		},
		"packed called encoded": func() func(http.Handler) http.Handler { return answered(encoded) },
		"token":                 func() func(http.Handler) http.Handler { return bearer(challenge, `{"token":"t%d"}`, "") },
		"token of another name": func() func(http.Handler) http.Handler {
			return bearer(challenge, `{"access_token":"t%d","expires_in":1}`, "")
		},
		"no service, no scope": func() func(http.Handler) http.Handler {
			return bearer(`Bearer realm="http://HOST/token"`, `{"token":"t%d"}`, "")
		},
		"expires with a part":      func() func(http.Handler) http.Handler { return bearer(challenge, `{"token":"t%d"}`, http.MethodPatch) },
		"expires with an upload":   func() func(http.Handler) http.Handler { return bearer(challenge, `{"token":"t%d"}`, http.MethodPut) },
		"expires at confirmation":  func() func(http.Handler) http.Handler { return bearer(challenge, `{"token":"t%d"}`, http.MethodHead) },
		"expires at the beginning": func() func(http.Handler) http.Handler { return bearer(challenge, `{"token":"t%d"}`, http.MethodPost) },
	} {
		for kind, from := range sources(t) {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				at := newRegistry(t, odd()) + "/site/web:1"
				transports := newTransports(t)
				transports.Retries, transports.Registry.Remote = 1, Remote("ndock/test", t.TempDir(), false, 1, nil)
				if err := pushTo(t, transports, from, at); err != nil {
					t.Fatal(err)
				}
				if _, err := read(t.Context(), transports, "docker://"+at); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestRefusals: an error that only the user can resolve has a tip.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		odd       func(http.Handler) http.Handler
		want, tip string
	}{
		"301 to an upload":  {movedOnce(http.StatusMovedPermanently), "with 301, which drops its content: it is no registry, or a proxy or a network's login page answers for it; uploads are redirected with 307 or 308 only", ""},
		"a page":            {refusing("PATCH", "", 400, "<html>Your browser</html>", 99), "the registry answered 400 Bad Request", ""},
		"too large":         {refusing("PATCH", "", 413, "<html>nginx</html>", 99), "413 Request Entity Too Large", "client_max_body_size"},
		"wants a length":    {requiresLength, "411 Length Required", "copy the image to oci:DIR first"},
		"no HEAD":           {refusing("HEAD", "", 405, "", 99), "405 Method Not Allowed", "HEAD, POST, PATCH and PUT"},
		"blobs are lost":    {always("HEAD", "/blobs/", notFound), "the registry does not have blob sha256:", ""},
		"manifest is lost":  {always("GET", "/manifests/", notFound), "read the image's manifest, which the registry took: the registry answered 404 Not Found", ""},
		"nothing to mount":  {refusing("PUT", "/manifests/", 404, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, 99), `/site/web:1": blob unknown to registry`, ""},
		"no way to go on":   {always("PATCH", "", func(a *httptest.ResponseRecorder) { a.Header().Del("Location") }), "missing Location header", ""},
		"a name unknown":    {refusing("POST", "", 404, `{"errors":[{"code":"NAME_UNKNOWN","message":"no such project"}]}`, 99), `/site/web:1": no such project`, ""},
		"no login":          {bearer(`Basic realm="registry"`, "", ""), "authentication required", "docker login"},
		"a token of a page": {bearer(challenge, "<html>%d</html>", ""), "answered with a web page", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := newRegistry(t, c.odd) + "/site/web:1"
			transports := newTransports(t)
			err := pushTo(t, transports, sources(t)["packed on the way"], at)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			var hinted interface{ Hint() string }
			if asHinted(err, &hinted); !strings.Contains(hinted.Hint(), c.tip) {
				t.Errorf("hint %q, want %q", hinted.Hint(), c.tip)
			}
		})
	}
}

// TestStaleName: a registry that still has the old image under a name, after it has accepted the new one, is asked
// again.
func TestStaleName(t *testing.T) {
	t.Parallel()
	before := imageOf(t, "amd64", gzipped(t, "before"))
	old, err := before.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for retries, want := range map[int]string{0: "somebody else has pushed another image there", 1: ""} {
		var taken atomic.Bool
		host := newRegistry(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") && taken.CompareAndSwap(true, false) {
					w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
					_, _ = w.Write(old)
					return
				}
				next.ServeHTTP(w, r)
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
					taken.Store(true)
				}
			})
		})
		transports := newTransports(t)
		transports.Retries = retries
		err := pushTo(t, transports, smallImage(t), host+"/site/web:1")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d retries: %v", retries, err)
		}
	}
}

// TestTagAndDigest: an image is pushed under a tag or by its digest, not both. A registry would use the digest and
// ignore the tag.
func TestTagAndDigest(t *testing.T) {
	t.Parallel()
	host := newRegistry(t, nil)
	image := imageOf(t, "amd64", gzipped(t, "hello"))
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	push(t, host+"/site/web:1", image)
	for name, want := range map[string]string{"other@" + digest.String(): "", "other:1": "", "other:1@" + digest.String(): "it has a tag and a digest"} {
		err := pushTo(t, newTransports(t), Reference{Transport: Registry, Name: host + "/site/web:1@" + digest.String()}, host+"/site/"+name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWithoutTLS: a registry behind a TLS proxy that redirects uploads to plain HTTP is refused, with a tip.
func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	host, certs := newTLSRegistry(t, answered(func(_ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Header().Get("Location") != "" {
			answer.Header().Set("Location", "http://registry.example.com/v2/site/web/blobs/uploads/1?_state=secret")
		}
	}))
	transports := newTransports(t)
	transports.Registry.Remote = Remote("ndock/test", certs, false, 0, nil)
	err := pushTo(t, transports, smallImage(t), host+"/site/web:1")
	var hinted interface{ Hint() string }
	if !asHinted(err, &hinted) || !strings.Contains(hinted.Hint(), "X-Forwarded-Proto") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// TestPrivateStorage: a redirect to a private address is not followed, and the error has a tip.
func TestPrivateStorage(t *testing.T) {
	t.Parallel()
	at := newRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, "http://10.255.255.1:9000"+r.URL.Path+"?X-Amz-Signature=secret", http.StatusTemporaryRedirect)
				return
			}
			next.ServeHTTP(w, r)
		})
	}) + "/site/web:1"
	push(t, at, imageOf(t, "amd64", gzipped(t, "hello")))
	_, err := newTransports(t).Find(t.Context(), Reference{Transport: Registry, Name: at})
	var hinted interface{ Hint() string }
	if !asHinted(err, &hinted) || !strings.Contains(hinted.Hint(), "give the storage a host name") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// TestMountRefused: a blob that a registry does not mount from another repository is uploaded.
func TestMountRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest, http.StatusInternalServerError} {
		var mounts atomic.Int32
		host := newRegistry(t, func(next http.Handler) http.Handler {
			next = first("HEAD", "/v2/two/web/blobs/", 2, notFound)(next) // which has all blobs in all repositories
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("mount") == "" {
					next.ServeHTTP(w, r)
					return
				}
				mounts.Add(1)
				w.WriteHeader(code)
			})
		})
		push(t, host+"/one/web:1", imageOf(t, "amd64", gzipped(t, "hello")))
		if err := pushTo(t, newTransports(t), Reference{Transport: Registry, Name: host + "/one/web:1"}, host+"/two/web:1"); err != nil {
			t.Errorf("%d: %v", code, err)
		} else if err := pushed(t, host+"/two/web:1"); err != nil || mounts.Load() == 0 {
			t.Errorf("%d: %v, %d mounts", code, err, mounts.Load())
		}
	}
}

// TestIPv6: a registry may have an IPv6 address.
func TestIPv6(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this host has no IPv6")
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}}
	server.Start()
	t.Cleanup(server.Close)
	at := listener.Addr().String() + "/site/web:1"
	if err := pushTo(t, newTransports(t), smallImage(t), at); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), newTransports(t), "docker://"+at); err != nil {
		t.Error(err)
	}
}

// TestManifestRefused: a manifest that is refused for a missing blob is sent again, with a message; others are not.
func TestManifestRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int32{"MANIFEST_BLOB_UNKNOWN": 2, "BLOB_UNKNOWN": 2, "NAME_UNKNOWN": 1, "MANIFEST_UNKNOWN": 1} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			var puts atomic.Int32
			answer := fmt.Sprintf(`{"errors":[{"code":%q,"message":"not here"}]}`, code)
			at := newRegistry(t, func(next http.Handler) http.Handler {
				next = refusing("PUT", "/manifests/", http.StatusNotFound, answer, 99)(next)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
						puts.Add(1)
					}
					next.ServeHTTP(w, r)
				})
			}) + "/site/web:1"
			transports := newTransports(t)
			transports.Retries = 1
			told := ""
			transports.Retrying = func(err error, _ time.Duration) { told += err.Error() }
			err := pushTo(t, transports, smallImage(t), at)
			if err == nil || !strings.Contains(err.Error(), `/site/web:1": not here`) || puts.Load() != want {
				t.Errorf("sent %d times, want %d: %v", puts.Load(), want, err)
			}
			if strings.Contains(told, `/site/web:1": not here`) != (want > 1) {
				t.Errorf("told %q", told)
			}
		})
	}
}

// TestRetriesAreReported: asking again for what the registry accepted is reported.
func TestRetriesAreReported(t *testing.T) {
	t.Parallel()
	var sent, asked atomic.Int32
	at := newRegistry(t, answered(func(r *http.Request, answer *httptest.ResponseRecorder) {
		switch blob := strings.Contains(r.URL.Path, "/blobs/"); {
		case blob && r.Method == http.MethodPut:
			sent.Add(1)
		case blob && r.Method == http.MethodHead && sent.Load() == 2 && asked.Add(1) == 1:
			notFound(answer)
		}
	})) + "/site/web:1"
	transports := newTransports(t)
	transports.Retries = 1
	var told []string
	transports.Retrying = func(err error, _ time.Duration) { told = append(told, err.Error()) }
	if err := pushTo(t, transports, smallImage(t), at); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "the registry does not have blob sha256:") {
		t.Errorf("told %q", told)
	}
}
