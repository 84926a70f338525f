package contents

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// There is more than fits a page, of repositories and of tags.
func TestListPages(t *testing.T) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}}}
	config.HTTP.Secret, config.Catalog.MaxEntries, config.Tags.MaxTags = "secret", 10, 10
	r := newRegistry(t, handlers.NewApp(t.Context(), config))
	r.Options = append(r.Options, remote.WithPageSize(2))
	image := image(t)
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
		image := image(t)
		for i := range 12 {
			r.write(t, fmt.Sprintf("app%d:1", i), image)
		}
		if found, err := r.List(t.Context(), ""); err != nil || len(found) != 12 {
			t.Errorf("%d at most: listed %d, %v", most, len(found), err)
		}
	}
}

// One damaged image does not hide the others, be the registry one that answers 404 or 500 for it.
func TestListDamaged(t *testing.T) {
	dir := t.TempDir()
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"filesystem": {"rootdirectory": dir}}}
	config.HTTP.Secret, config.Catalog.MaxEntries = "secret", 1000
	r := newRegistry(t, handlers.NewApp(t.Context(), config))
	r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	image := image(t)
	for _, text := range []string{"web:empty", "web:gone", "web:half", "web:whole"} {
		r.write(t, text, image)
	}
	other := mutate.Annotations(image, map[string]string{"a": "b"}).(v1.Image)
	r.write(t, "web:gone", other)
	gone, err := other.Digest()
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "docker/registry/v2/repositories/web/_manifests")
	if err := errors.Join(
		os.Truncate(filepath.Join(at, "tags/empty/current/link"), 0),
		os.RemoveAll(filepath.Join(at, "tags/half/current")),
		os.RemoveAll(filepath.Join(at, "revisions/sha256", gone.Hex)),
	); err != nil {
		t.Fatal(err)
	}
	found, err := r.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range found {
		if (one.Damage == nil) != (one.Tag == "whole") || (one.Damage == nil) != (one.Digest != "") {
			t.Errorf("%s: %+v", one.Tag, one)
		}
		var explained *Error
		if want := "push it again, or 'ndock registry delete --registry " + r.Address + " web:" + one.Tag + "'"; one.Damage != nil &&
			(!errors.As(one.Damage, &explained) || explained.Hint() != want) {
			t.Errorf("%v has no hint %s", one.Damage, want)
		}
		got = append(got, one.Tag)
	}
	if want := []string{"empty", "gone", "half", "whole"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
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
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	found, err := r.List(t.Context(), "web")
	if err != nil || len(found) != 1 || found[0].Damage == nil || found[0].Damage.(*Error).Hint() != "" {
		t.Errorf("%+v, %v", found, err)
	}
}

// A registry that is not there any more ends a list.
func TestListEnds(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusServiceUnavailable} {
		r := newRegistry(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			switch {
			case request.URL.Path == "/v2/":
			case strings.HasSuffix(request.URL.Path, "/tags/list"):
				fmt.Fprint(w, `{"name":"web","tags":["1"]}`)
			default:
				http.Error(w, "no", code)
			}
		}))
		r.Options = append(r.Options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
		if found, err := r.List(t.Context(), "web"); status(err) != code {
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
		"": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }, // another kind of server
	} {
		r := newRegistry(t, answer)
		ref, err := r.Parse("web:1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Show(t.Context(), ref)
		var explained *Error
		if !errors.As(err, &explained) || !strings.HasPrefix(explained.Hint(), want) || want == "" && explained.Hint() != "" {
			t.Errorf("error %v, want one with the hint %q", err, want)
		}
	}
}

func TestDeleteIsNotEnabled(t *testing.T) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": {}}}
	config.HTTP.Secret = "secret"
	r := newRegistry(t, handlers.NewApp(t.Context(), config))
	r.write(t, "web:1", image(t))
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
	if !errors.As(err, &explained) || err.Error() != want || explained.Hint() != "its CA belongs in /etc/docker/certs.d/"+r.Address+"/ca.crt" {
		t.Errorf("error %v, want %s", err, want)
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
		r.Show(t.Context(), ref) // which may fail, and does not panic
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

func image(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
