package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	imagehttp "ndock/docker/image"
	"ndock/registry/internal/registrytest"
)

// There is more than fits a page, of repositories and of tags.
func TestListPages(t *testing.T) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}}}
	config.HTTP.Secret, config.Catalog.MaxEntries, config.Tags.MaxTags = "secret", 10, 10
	r := newRegistry(t, handlers.NewApp(t.Context(), config))
	r.Options = append(r.Options, remote.WithPageSize(2))
	image := registrytest.Image(t, 100, 2)
	var want []string
	for repository := range 5 {
		for tag := range 5 {
			text := fmt.Sprintf("site/app%d:%d", repository, tag)
			want = append(want, text)
			ref, err := r.Parse(text)
			if err == nil {
				err = remote.Write(ref, image)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := r.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range found {
		got = append(got, one.Repository+":"+one.Tag)
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
}

// A registry may give smaller pages only than are asked for at first.
func TestListSmallPages(t *testing.T) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}}}
	config.HTTP.Secret = "secret"
	for _, most := range []int{999, 100, 10} {
		config.Catalog.MaxEntries = most
		r := newRegistry(t, handlers.NewApp(t.Context(), config))
		image := registrytest.Image(t, 100, 2)
		for i := range 12 {
			r.write(t, fmt.Sprintf("app%d:1", i), image)
		}
		if found, err := r.List(t.Context(), ""); err != nil || len(found) != 12 {
			t.Errorf("%d at most: listed %d, %v", most, len(found), err)
		}
	}
}

// What a registry does not have whole is damaged, and does not hide the others. Of what it only fails to say how it is,
// distribution's damaged link among it, nobody is told to delete anything.
func TestListDamaged(t *testing.T) {
	dir := t.TempDir()
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"filesystem": {"rootdirectory": dir}}}
	config.HTTP.Secret, config.Catalog.MaxEntries = "secret", 1000
	r := newRegistry(t, handlers.NewApp(t.Context(), config))
	r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	image := registrytest.Image(t, 100, 2)
	for _, text := range []string{"web:empty", "web:half", "web:whole"} {
		r.write(t, text, image)
	}
	gone, config1, config2 := changed(t, image, "gone"), changed(t, image, "config-gone"), changed(t, image, "config-spoilt")
	r.write(t, "web:gone", gone)
	r.write(t, "web:config-gone", config1)
	r.write(t, "web:config-spoilt", config2)
	at := filepath.Join(dir, "docker/registry/v2/repositories/web/_manifests")
	if err := errors.Join(
		os.Truncate(filepath.Join(at, "tags/empty/current/link"), 0),
		os.RemoveAll(filepath.Join(at, "tags/half/current")),
		os.RemoveAll(filepath.Join(at, "revisions/sha256", hashOf(t, gone.Digest).Hex)),
		os.Remove(blobFile(dir, hashOf(t, config1.ConfigName))),
		os.WriteFile(blobFile(dir, hashOf(t, config2.ConfigName)), []byte("{}"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	found, err := r.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	remove := func(tag string) string { return "'ndock registry delete --registry " + r.Address + " web:" + tag + "'" }
	for tag, want := range map[string]struct{ damage, failure, hint string }{
		"config-gone":   {damage: "the registry does not have configuration sha256:", hint: remove("config-gone") + ", then push it again"},
		"config-spoilt": {damage: "it is damaged", hint: "a push alone does not replace it: " + remove("config-spoilt") + ", then 'ndock registry gc --untagged'"},
		"empty":         {failure: "the registry, or what it stores in, fails", hint: "the registry's log says why"},
		"gone":          {damage: "the registry lists the tag, and says that its image is not there", hint: "push it again, or " + remove("gone")},
		"half":          {damage: "the registry lists the tag, and says that its image is not there", hint: "push it again, or " + remove("half")},
		"whole":         {},
	} {
		at := slices.IndexFunc(found, func(one Image) bool { return one.Tag == tag })
		if at < 0 {
			t.Errorf("%s is not listed", tag)
			continue
		}
		one := found[at]
		checkError(t, tag, one.Damage, want.damage, want.hint)
		checkError(t, tag, one.Failure, want.failure, want.hint)
		if (one.Digest != "") != (tag == "whole") {
			t.Errorf("%s: %+v", tag, one)
		}
	}
	if len(found) != 6 {
		t.Errorf("listed %+v", found)
	}
}

func checkError(t *testing.T, tag string, err error, says, hint string) {
	t.Helper()
	if says == "" {
		if err != nil {
			t.Errorf("%s: %v", tag, err)
		}
		return
	}
	var explained *Error
	if !errors.As(err, &explained) || !strings.HasPrefix(err.Error(), "look at web:"+tag+": ") || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %s", tag, err, says)
	} else if !strings.HasPrefix(explained.Hint(), hint) {
		t.Errorf("%s has hint %s, want %s", tag, explained.Hint(), hint)
	}
}

// changed is another image, with a configuration of its own.
func changed(t *testing.T, image v1.Image, author string) v1.Image {
	t.Helper()
	other, err := mutate.ConfigFile(image, &v1.ConfigFile{Author: author})
	if err != nil {
		t.Fatal(err)
	}
	return other
}

func hashOf(t *testing.T, of func() (v1.Hash, error)) v1.Hash {
	t.Helper()
	found, err := of()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func blobFile(dir string, of v1.Hash) string {
	return filepath.Join(dir, "docker/registry/v2/blobs/sha256", of.Hex[:2], of.Hex, "data")
}

// A configuration that is none, and was pushed so, is no damage.
func TestListOddConfiguration(t *testing.T) {
	r := newRegistry(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	for tag, config := range map[string]string{"1": "[]", "2": `{"created":""}`, "3": "", "4": strings.Repeat(" ", maxConfigSize+1)} {
		layer := static.NewLayer([]byte(config), types.DockerConfigJSON)
		manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
			types.DockerManifestSchema2, types.DockerConfigJSON, hashOf(t, layer.Digest), len(config))
		ref, err := r.Parse("web:" + tag)
		if err == nil {
			err = errors.Join(remote.WriteLayer(ref.Context(), layer), remote.Put(ref, rawManifest(manifest)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	found, err := r.List(t.Context(), "")
	if err != nil || len(found) != 4 {
		t.Errorf("%+v, %v", found, err)
	}
	for _, one := range found {
		if one.Damage != nil || one.Failure != nil || one.Digest == "" {
			t.Errorf("%+v", one)
		}
	}
}

type rawManifest []byte

func (m rawManifest) RawManifest() ([]byte, error)        { return m, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return types.DockerManifestSchema2, nil }

// An index that names a thousand images, and has many tags, is looked at once, and at its first images.
func TestListHugeIndex(t *testing.T) {
	var asked atomic.Int64
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked.Add(1)
		images.ServeHTTP(w, request)
	}))
	image := registrytest.Image(t, 100, 1)
	r.write(t, "web:1", image)
	size, err := image.Size()
	if err != nil {
		t.Fatal(err)
	}
	entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":%q,"architecture":"amd64"}}`,
		types.DockerManifestSchema2, hashOf(t, image.Digest), size, strings.Repeat("x", 1000))
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.Repeat(entry+",", 999) + entry + `]}`
	for tag := range 20 {
		ref, err := r.Parse(fmt.Sprintf("web:index%d", tag))
		if err == nil {
			err = remote.Put(ref, rawIndex(index))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	asked.Store(0)
	found, err := r.List(t.Context(), "")
	if err != nil || len(found) != 21 {
		t.Fatalf("listed %d, %v", len(found), err)
	}
	for _, one := range found[1:] {
		if len(one.Platforms) != maxManifests || len(one.Platforms[0]) != maxPlatform || one.Manifests != nil {
			t.Fatalf("%d platforms, %d manifests", len(one.Platforms), len(one.Manifests))
		}
	}
	if most := int64(8*2*maxManifests + 100); asked.Load() > most { // eight may begin with it at a time
		t.Errorf("it took %d requests, more than %d", asked.Load(), most)
	}
}

type rawIndex []byte

func (m rawIndex) RawManifest() ([]byte, error)        { return m, nil }
func (m rawIndex) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

// A registry that has no end of tags, on one page or on many, gets no end of memory.
func TestListWithoutEnd(t *testing.T) {
	page := `{"name":"web","tags":[` + strings.TrimSuffix(strings.Repeat(`"1",`, 1000), ",") + `]}`
	for what, want := range map[string]string{
		"one page": "the answer has more than 16777216 bytes",
		"pages":    "there are more than 100000 repositories and tags: list one repository",
	} {
		r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			switch {
			case request.URL.Path == "/v2/":
			case !strings.HasSuffix(request.URL.Path, "/tags/list"):
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
			case what == "pages":
				w.Header().Set("Link", `</v2/web/tags/list>; rel="next"`)
				fmt.Fprint(w, page)
			default:
				fmt.Fprint(w, `{"name":"`)
				for block := strings.Repeat("x", 1<<20); ; {
					if _, err := fmt.Fprint(w, block); err != nil {
						return
					}
				}
			}
		}))
		r.Options = imagehttp.Remote("ndock/test", t.TempDir(), false, 0, nil)
		reader, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		l := &lister{reader: reader, ctx: t.Context(), group: &errgroup.Group{}, seen: map[string]Image{}, names: maxNames - 1500}
		if err := l.listNamed("web"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A registry that calls its tags by what is no name gives no command that has them in it.
func TestListHostileTag(t *testing.T) {
	r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		switch {
		case request.URL.Path == "/v2/":
		case strings.HasSuffix(request.URL.Path, "/tags/list"):
			fmt.Fprint(w, `{"name":"web","tags":["1'; reboot; '"]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
		}
	}))
	found, err := r.List(t.Context(), "web")
	if err != nil || len(found) != 1 || found[0].Damage == nil || found[0].Damage.(*Error).Hint() != "" {
		t.Errorf("%+v, %v", found, err)
	}
}

// A registry that fails has not lost what it fails to give: nothing of it is called damaged, and nobody is told to delete
// it. The rest is listed.
func TestListOfAnAilingRegistry(t *testing.T) {
	image := registrytest.Image(t, 100, 2)
	for what, fail := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"driver":"s3aws","detail":"SlowDown"}}]}`)
		},
		"507":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "full", http.StatusInsufficientStorage) },
		"418":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) },
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "999")
			fmt.Fprint(w, "{")
		},
	} {
		whole := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		ill := ""
		r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if request.Method == http.MethodGet && ill != "" && strings.Contains(request.URL.Path, ill) {
				fail(w, request)
				return
			}
			whole.ServeHTTP(w, request)
		}))
		r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
		for _, text := range []string{"web:1", "web:2", "site:1"} {
			r.write(t, text, image)
		}
		ill = "/web/manifests/1"
		found, err := r.List(t.Context(), "")
		if err != nil || len(found) != 3 || found[1].Failure == nil || found[1].Damage != nil || found[0].Digest == "" || found[2].Digest == "" {
			t.Errorf("%s: %+v, %v", what, found, err)
			continue
		}
		checkError(t, "1", found[1].Failure, "the registry, or what it stores in, fails", "the registry's log says why; when its disk or bucket is well again")
		ill = "/web/tags/list"
		found, err = r.List(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), "list repository web: the registry, or what it stores in, fails") || len(found) != 1 {
			t.Errorf("%s: %+v, %v", what, found, err)
		}
	}
}

// A registry that breaks off where it is asked for one image is asked for the others, in HTTP/1 and in HTTP/2.
func TestListOfAnImageWithoutAnAnswer(t *testing.T) {
	for _, version := range []int{1, 2} {
		whole := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		ill := false
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if ill && strings.HasSuffix(request.URL.Path, "/app/manifests/1") {
				if request.ProtoMajor != version {
					t.Errorf("asked in %s", request.Proto)
				}
				panic(http.ErrAbortHandler)
			}
			whole.ServeHTTP(w, request)
		}))
		server.EnableHTTP2 = version == 2
		server.StartTLS()
		t.Cleanup(server.Close)
		r := Registry{Address: strings.TrimPrefix(server.URL, "https://")}
		r.Options = append(r.Options, remote.WithTransport(server.Client().Transport), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
		for _, text := range []string{"app:1", "web:1"} {
			ref, err := r.Parse(text)
			if err == nil {
				err = remote.Write(ref, registrytest.Image(t, 100, 2), r.Options...)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		ill = true
		found, err := r.List(t.Context(), "")
		if err != nil || len(found) != 2 || found[0].Failure == nil || found[1].Digest == "" {
			t.Errorf("HTTP/%d: %+v, %v", version, found, err)
		}
	}
}

// A repository that one may not read hides no other.
func TestListForbidden(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		for _, path := range []string{"/web/tags/list", "/web/manifests/1"} {
			whole := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
			closed := false
			r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if closed && strings.HasSuffix(request.URL.Path, path) {
					w.WriteHeader(code)
					fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
					return
				}
				whole.ServeHTTP(w, request)
			}))
			for _, text := range []string{"app:1", "web:1", "x:1"} {
				r.write(t, text, registrytest.Image(t, 100, 2))
			}
			closed = true
			found, err := r.List(t.Context(), "")
			others := 0
			for _, one := range found {
				if err = errors.Join(err, one.Failure); one.Digest != "" {
					others++
				}
			}
			var explained *Error
			if others != 2 || !errors.As(err, &explained) || explained.Hint() != "log in with 'docker login "+r.Address+"'" || strings.Contains(err.Error(), "fails") {
				t.Errorf("%d %s: %+v, %v", code, path, found, err)
			}
		}
	}
}

// Repositories that one may not read hide no other, however many they are.
func TestListManyForbidden(t *testing.T) {
	for _, path := range []string{"/tags/list", "/manifests/"} {
		whole := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		closed := false
		r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if closed && strings.HasPrefix(request.URL.Path, "/v2/their/") && strings.Contains(request.URL.Path, path) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			whole.ServeHTTP(w, request)
		}))
		for i := range 2 * maxFailures {
			r.write(t, fmt.Sprintf("their/%d:1", i), registrytest.Image(t, 100, 2))
		}
		r.write(t, "web:1", registrytest.Image(t, 100, 2))
		closed = true
		found, err := r.List(t.Context(), "")
		if len(found) == 0 || found[len(found)-1].Repository != "web" || err != nil && strings.Contains(err.Error(), "is not asked for more") {
			t.Errorf("%s: %+v, %v", path, found, err)
		}
	}
}

// A registry that fails again and again is not asked for ever.
func TestListEndsAfterManyFailures(t *testing.T) {
	var asked atomic.Int64
	r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		switch {
		case request.URL.Path == "/v2/":
		case strings.HasSuffix(request.URL.Path, "/tags/list"):
			fmt.Fprintf(w, `{"name":"web","tags":["1"%s]}`, strings.Repeat(`,"1"`, 1000))
		default:
			asked.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	found, err := r.List(t.Context(), "web")
	if err == nil || !strings.Contains(err.Error(), "the registry has not answered 10 times what it was asked, and is not asked for more") || asked.Load() > 100 || len(found) < 10 {
		t.Errorf("%d were listed, %d asked for: %v", len(found), asked.Load(), err)
	}
}

// A registry that is not there any more ends a list.
func TestListEnds(t *testing.T) {
	for _, code := range []int{http.StatusBadGateway, http.StatusServiceUnavailable} {
		whole := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		var ends atomic.Bool
		r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if ends.Load() && strings.Contains(request.URL.Path, "/web/") {
				http.Error(w, "no", code)
				return
			}
			whole.ServeHTTP(w, request)
		}))
		r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
		r.write(t, "app:1", registrytest.Image(t, 100, 2))
		r.write(t, "web:1", registrytest.Image(t, 100, 2))
		ends.Store(true)
		if found, err := r.List(t.Context(), ""); status(err) != code {
			t.Errorf("%+v, %v", found, err)
		}
	}
}

// What is no image has no platform and no command, but can be looked at; and an index may lack what it names.
func TestShowOthers(t *testing.T) {
	r := newRegistry(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	chart := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
	chart = mutate.Annotations(chart, map[string]string{created: "2026-01-02T03:04:05Z"}).(v1.Image)
	ref, err := r.Parse("chart:1")
	if err == nil {
		err = remote.Write(ref, chart)
	}
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.Show(t.Context(), ref)
	if err != nil || !found.Created.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || found.Platforms != nil {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestRefusals(t *testing.T) {
	for want, answer := range map[string]http.HandlerFunc{
		"log in with 'docker login ": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"'ndock registry list' shows what is": func(w http.ResponseWriter, request *http.Request) {
			if request.URL.Path != "/v2/" {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
			}
		},
		"see whether it is a registry that listens at ": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
	} {
		r := newRegistry(t, answer)
		ref, err := r.Parse("web:1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Show(t.Context(), ref)
		var explained *Error
		if !errors.As(err, &explained) || !strings.HasPrefix(explained.Hint(), want) {
			t.Errorf("error %v, want one with the hint %q", err, want)
		}
	}
}

func TestDeleteIsNotEnabled(t *testing.T) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}}}
	config.HTTP.Secret = "secret"
	r := newRegistry(t, handlers.NewApp(t.Context(), config))
	r.write(t, "web:1", registrytest.Image(t, 100, 2))
	ref, err := r.Parse("web:1")
	if err != nil {
		t.Fatal(err)
	}
	var explained *Error
	err = r.Delete(t.Context(), ref)
	if !errors.As(err, &explained) || !strings.HasPrefix(explained.Hint(), "a registry deletes only if its configuration says storage: {delete: {enabled: true}}") {
		t.Errorf("error %v", err)
	}
}

func TestUntrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r := Registry{Address: strings.TrimPrefix(server.URL, "https://")}
	_, err := r.List(t.Context(), "")
	want := "list repositories of " + r.Address + ": tls: failed to verify certificate: x509: certificate signed by unknown authority"
	var explained *Error
	if !errors.As(err, &explained) || err.Error() != want || explained.Hint() != "its CA belongs in /etc/docker/certs.d/"+r.Address+"/ca.crt, where 'ndock registry trust "+r.Address+"' puts it" {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestNoRegistry asks what is none, or breaks off: each time it is said in words.
func TestNoRegistry(t *testing.T) {
	t.Parallel()
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		handle     http.HandlerFunc
		tls        bool // is asked for
		want, hint string
	}{
		"breaks off":        {abort, false, "no registry answers at HOST: it broke the connection off", ""},
		"no TLS":            {func(http.ResponseWriter, *http.Request) {}, true, "no registry answers at HOST: it speaks plain HTTP, and not TLS", "--insecure speaks plain HTTP, in which all can be read on the way"},
		"no page":           {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusNotFound) }, false, "the registry answered 404 Not Found", "see whether it is a registry that listens at HOST"},
		"a failure":         {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusNotImplemented) }, false, "the registry answered 501 Not Implemented", ""},
		"no content":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, false, "no registry answers this with 204 No Content", ""},
		"no JSON":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello") }, false, "the registry's answer is no JSON: invalid character 'H' looking for beginning of value", ""},
		"a login is needed": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, "the registry answered 403 Forbidden", "log in with 'docker login HOST'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, test.handle)
			if test.tls { // as to another host: loopback is asked without TLS, too
				r.PlainHTTP = false
				address := r.Address
				r.Address = "registry.test" + address[strings.LastIndex(address, ":"):]
				r.Options = []remote.Option{remote.WithTransport(&http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				}})}
			}
			_, err := r.List(t.Context(), "")
			var explained *Error
			said := strings.NewReplacer(r.Address, "HOST")
			if !errors.As(err, &explained) || said.Replace(err.Error()) != "list repositories of HOST: "+test.want || said.Replace(explained.Hint()) != test.hint {
				t.Errorf("error %v, hint %v", err, explained)
			}
		})
	}
	_, err := (Registry{Address: "127.0.0.1:1", PlainHTTP: true}).List(t.Context(), "")
	if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "list repositories of 127.0.0.1:1: no registry answers at 127.0.0.1:1: connection refused" {
		t.Errorf("error %v", err)
	}
}

func TestParse(t *testing.T) {
	r := Registry{Address: "127.0.0.1:5050"}
	digest := "@sha256:" + strings.Repeat("a", 64)
	for text, want := range map[string]string{
		"web": "web:latest", "site/web:1": "site/web:1", "127.0.0.1:5050/web:1": "web:1", "web" + digest: "web" + digest,
		"web:1" + digest: "web" + digest, "Web": "", "web@sha256:1": "", "": "", "web:": "", "../web": "",
	} {
		parsed, err := r.Parse(text)
		if want == "" && err == nil || want != "" && (err != nil || r.short(parsed) != want) {
			t.Errorf("%q is %v (%v), want %q", text, parsed, err, want)
		}
	}
	for _, text := range []string{"web", "127.0.0.1:5050/web"} {
		if parsed, err := r.ParseExact(text); err == nil {
			t.Errorf("%q is taken for %s", text, parsed)
		}
	}
	if _, err := r.ParseExact("web:latest"); err != nil {
		t.Error(err)
	}
}

// Whatever a registry says that a manifest and a configuration are, looking at it ends.
func FuzzShow(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:`+strings.Repeat("a", 64)+`","size":2}}`), []byte(`{}`), string(types.OCIManifestSchema1))
	f.Add([]byte(`{"manifests":[{"digest":"sha256:`+strings.Repeat("b", 64)+`","mediaType":"application/vnd.oci.image.manifest.v1+json"}]}`), []byte(``), string(types.OCIImageIndex))
	f.Add([]byte(`null`), []byte(`null`), "")
	f.Fuzz(func(t *testing.T, manifest, config []byte, mediaType string) {
		r := Registry{Address: "127.0.0.1:5050", PlainHTTP: true, Options: []remote.Option{
			remote.WithTransport(answers(func(request *http.Request) ([]byte, string) {
				switch {
				case strings.Contains(request.URL.Path, "/manifests/"):
					return manifest, mediaType
				case strings.Contains(request.URL.Path, "/blobs/"):
					return config, ""
				}
				return nil, ""
			})), remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		}}
		ref, err := r.Parse("web:1")
		if err != nil {
			t.Fatal(err)
		}
		image, err := r.Show(t.Context(), ref) // sizes are what the registry says
		if want := digest.FromBytes(manifest).String(); err == nil && (image.Digest != want || image.Repository != "web" || image.Tag != "1") {
			t.Errorf("%q is shown as %s:%s, %s", manifest, image.Repository, image.Tag, image.Digest)
		}
	})
}

type answers func(*http.Request) (body []byte, mediaType string)

func (a answers) RoundTrip(request *http.Request) (*http.Response, error) {
	body, mediaType := a(request)
	return &http.Response{
		StatusCode: http.StatusOK, Request: request, Header: http.Header{"Content-Type": {mediaType}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func newRegistry(t *testing.T, handler http.Handler) Registry {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return Registry{Address: strings.TrimPrefix(server.URL, "http://"), PlainHTTP: true}
}

func (r Registry) write(t *testing.T, text string, image v1.Image) {
	t.Helper()
	ref, err := r.Parse(text)
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A link to a storage is a secret, and no part of an error.
func TestNoLinkInErrors(t *testing.T) {
	r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		http.Redirect(w, r, "http://127.0.0.1:1/_catalog?signature=private", http.StatusTemporaryRedirect)
	}))
	r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	_, err := r.List(t.Context(), "")
	if err == nil || strings.Contains(err.Error(), "private") {
		t.Errorf("error %v", err)
	}
}
