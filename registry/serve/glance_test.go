package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"

	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/glance"
	"ndock/registry/glance/glancetest"
	"ndock/registry/internal/registrytest"
)

// cloud is a registry in Glance. Ann is in the projects one and two, bob is in two, and eve in three.
type cloud struct {
	*served
	glance   *glancetest.Glance
	keystone *glancetest.Keystone
}

func serveInGlance(t *testing.T, o config.Options) *cloud {
	t.Helper()
	c := &cloud{
		glance:   glancetest.New(),
		keystone: glancetest.NewKeystone(t, map[string][]string{"ann": {"one", "two"}, "bob": {"two"}, "eve": {"three"}}),
	}
	o.Glance, o.OpenGlance, o.Keystone = config.GlanceOptions{Used: true}, opens(c.glance), keystone.Options{URL: c.keystone.URL}
	c.served = serve(t, o)
	c.user, c.password = "ann", glancetest.Password
	return c
}

// as returns the registry for another user.
func (c *cloud) as(user string) *cloud {
	other := *c.served
	other.user = user
	return &cloud{&other, c.glance, c.keystone}
}

func (c *cloud) ref(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(c.url, "http://") + "/" + text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (c *cloud) login() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: c.user, Password: c.password})
}

func (c *cloud) push(t *testing.T, to string, image v1.Image) {
	t.Helper()
	if err := remote.Write(c.ref(t, to), image, c.login()); err != nil {
		t.Fatalf("push %s: %v", to, err)
	}
}

// pull checks that an image is there, with all its layers.
func (c *cloud) pull(t *testing.T, from string, want v1.Image) {
	t.Helper()
	got, err := remote.Image(c.ref(t, from), c.login())
	if err != nil {
		t.Fatalf("pull %s: %v", from, err)
	}
	if err := validate.Image(got); err != nil {
		t.Errorf("%s is damaged: %v", from, err)
	}
	if digestOf(t, got) != digestOf(t, want) {
		t.Errorf("%s is %s, want %s", from, digestOf(t, got), digestOf(t, want))
	}
}

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

var idOne = glancetest.ProjectID("one")

func TestPushToGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	small, large := registrytest.Image(t, 1000, 3), registrytest.Image(t, 3<<20, 2)
	c.push(t, "one/web:1", small)
	c.push(t, "one/deep/down/web:big", large)
	c.pull(t, "one/web:1", small)
	c.pull(t, "one/web@"+digestOf(t, small), small)
	c.pull(t, "one/deep/down/web:big", large)
	c.pull(t, idOne+"/web:1", small)
	if layers := c.glance.Layers(idOne); len(layers) != 2 {
		t.Errorf("Glance has %d layers, want the two large ones: %v", len(layers), layers)
	}
	stored := c.glance.Images(idOne)
	if len(stored) != 2 || stored[0].Repository != "web" || stored[1].Repository != "deep/down/web" || len(stored[0].Parts) != 4 {
		t.Errorf("Glance was given %+v", stored)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if log := c.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") || strings.Contains(log, glancetest.Password) {
		t.Errorf("ordinary requests alarm the operator:\n%s", log)
	}
}

// What a process knows of pushes is gone with it: everything is found in Glance again.
func TestPullFromGlanceByAnother(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 2000, 3)
	c.push(t, "two/web:1", image)
	other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
	other.user, other.password = "bob", glancetest.Password
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	other.want(t, http.StatusOK, other.do(t, http.MethodGet, "/v2/two/web/blobs/"+config.String(), nil))
	other.want(t, http.StatusNotFound, other.do(t, http.MethodGet, "/v2/two/web/blobs/"+hashOf("nothing"), nil))
	(&cloud{other, c.glance, c.keystone}).pull(t, "two/web:1", image)
}

func TestTagsMoveInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	first, second := registrytest.Image(t, 1000, 1), registrytest.Image(t, 1000, 1)
	c.push(t, "one/web:1", first)
	c.push(t, "one/web:1", second)
	c.push(t, "one/web:1", second) // changes nothing
	c.push(t, "one/web:also", second)
	c.pull(t, "one/web:1", second)
	c.pull(t, "one/web@"+digestOf(t, first), first)
	if stored := c.glance.Images(idOne); len(stored) != 3 {
		t.Errorf("three pushes made %d images", len(stored))
	}
	if tags, err := remote.List(c.ref(t, "one/web").Context(), c.login()); err != nil || !slices.Equal(tags, []string{"1", "also"}) {
		t.Errorf("tags are %v, %v", tags, err)
	}
	c.want(t, http.StatusAccepted, c.do(t, http.MethodDelete, "/v2/one/web/manifests/1", nil))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, "/v2/one/web/manifests/1", nil))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodDelete, "/v2/one/web/manifests/1", nil))
	c.pull(t, "one/web:also", second)
	c.want(t, http.StatusAccepted, c.do(t, http.MethodDelete, "/v2/one/web/manifests/"+digestOf(t, second), nil))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, "/v2/one/web/manifests/also", nil))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodDelete, "/v2/one/web/manifests/"+digestOf(t, second), nil))
	c.pull(t, "one/web@"+digestOf(t, first), first)
	if got := c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil)); !strings.Contains(got, `"tags":[]`) {
		t.Errorf("tags are %s", got)
	}
	c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, "/v2/one/never/tags/list", nil))
}

func TestTagPagesInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 10, 1)
	for _, tag := range []string{"b", "a", "c"} {
		c.push(t, "one/web:"+tag, image)
	}
	first := c.do(t, http.MethodGet, "/v2/one/web/tags/list?n=2", nil)
	if got := c.want(t, http.StatusOK, first); !strings.Contains(got, `["a","b"]`) || first.Header.Get("Link") == "" {
		t.Errorf("the first page is %s, %v", got, first.Header)
	}
	last := c.do(t, http.MethodGet, "/v2/one/web/tags/list?n=2&last=b", nil)
	if got := c.want(t, http.StatusOK, last); !strings.Contains(got, `["c"]`) || last.Header.Get("Link") != "" {
		t.Errorf("the last page is %s, %v", got, last.Header)
	}
}

func TestCatalogInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 10, 1)
	for _, to := range []string{"two/b:1", "one/web:1", "two/a/b:1", "one/web:2"} {
		c.push(t, to, image)
	}
	for path, want := range map[string]string{
		"/v2/_catalog":                   `["one/web","two/a/b","two/b"]`,
		"/v2/_catalog?n=2":               `["one/web","two/a/b"]`,
		"/v2/_catalog?n=2&last=two/a/b":  `["two/b"]`,
		"/v2/_catalog?n=2&last=one/web":  `["two/a/b","two/b"]`,
		"/v2/_catalog?n=10&last=two/zzz": `[]`,
	} {
		if got := c.want(t, http.StatusOK, c.do(t, http.MethodGet, path, nil)); !strings.Contains(got, want) {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := c.want(t, http.StatusOK, c.as("eve").do(t, http.MethodGet, "/v2/_catalog", nil)); !strings.Contains(got, `[]`) {
		t.Errorf("a stranger sees %s", got)
	}
}

func TestMountInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	small, large := c.pushBlob(t, "one/a", []byte("small")), c.pushBlob(t, "one/a", make([]byte, 2<<20))
	for _, blob := range []string{small, large} {
		mount := "/blobs/uploads/?mount=" + blob + "&from=one/a"
		c.want(t, http.StatusCreated, c.do(t, http.MethodPost, "/v2/one/b"+mount, nil))
		c.want(t, http.StatusAccepted, c.do(t, http.MethodPost, "/v2/two/b"+mount, nil))
		c.want(t, http.StatusAccepted, c.as("bob").do(t, http.MethodPost, "/v2/two/b"+mount, nil))
		c.want(t, http.StatusNotFound, c.do(t, http.MethodHead, "/v2/two/b/blobs/"+blob, nil))
	}
}

func TestRangesInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	content := bytes.Repeat([]byte("0123456789"), 200_000)
	blob := c.pushBlob(t, "one/web", content)
	for asked, want := range map[string]struct {
		status int
		body   string
	}{
		"":                  {http.StatusOK, string(content)},
		"bytes=5-9":         {http.StatusPartialContent, "56789"},
		"bytes=1999998-":    {http.StatusPartialContent, "89"},
		"bytes=-3":          {http.StatusPartialContent, "789"},
		"bytes=3000000-":    {http.StatusRequestedRangeNotSatisfiable, ""},
		"bytes=0-1,5-6":     {http.StatusOK, string(content)}, // several would be as many requests to Glance
		"bytes=nonsense-to": {http.StatusRequestedRangeNotSatisfiable, ""},
	} {
		opened := c.glance.Queries("Open")
		got := c.get(t, "/v2/one/web/blobs/"+blob, http.Header{"Range": {asked}})
		body := c.want(t, want.status, got)
		if want.body != "" && body != want.body {
			t.Errorf("%q: %d bytes, want %d", asked, len(body), len(want.body))
		}
		if n := c.glance.Queries("Open") - opened; want.body != "" && n != 1 {
			t.Errorf("%q: Glance was asked %d times for the blob", asked, n)
		}
	}
	head := c.do(t, http.MethodHead, "/v2/one/web/blobs/"+blob, nil)
	if c.want(t, http.StatusOK, head); head.ContentLength != int64(len(content)) || head.Header.Get("Docker-Content-Digest") != blob {
		t.Errorf("HEAD says %v", head.Header)
	}
	c.want(t, http.StatusNotModified, c.get(t, "/v2/one/web/blobs/"+blob, http.Header{"If-None-Match": {`"` + blob + `"`}}))
}

func (c *cloud) get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	return c.send(t, http.MethodGet, c.url+path, nil, header)
}

func hashOf(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// An index as buildx makes it: an image, and an attestation about it.
func TestIndexInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image, attestation := registrytest.Image(t, 2<<20, 1), registrytest.Image(t, 500, 1)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digestOf(t, image)},
		}})
	if err := remote.WriteIndex(c.ref(t, "one/web:1"), index, c.login()); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Index(c.ref(t, "one/web:1"), c.login())
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, got) != digestOf(t, index) {
		t.Errorf("the index is %s", digestOf(t, got))
	}
	stored := c.glance.Images(idOne)
	made := stored[len(stored)-1]
	if len(made.Manifests) != 2 || len(made.Manifests[0].Parts) != 2 || made.Manifests[0].Descriptor.Platform.Architecture != "amd64" ||
		made.Manifests[0].Parts[1].Image == "" || made.Manifests[1].Parts[1].Content == nil {
		t.Errorf("Glance was given %+v", made)
	}
	// A garbage collector may have removed the images of their own: the index has all.
	for _, one := range stored[:2] {
		for _, image := range c.imagesOf(t, "one", "web") {
			if image.Digest == one.Descriptor.Digest {
				c.deleteImage(t, "one", image)
			}
		}
	}
	c.pull(t, "one/web@"+digestOf(t, image), image)
	c.pull(t, "one/web@"+digestOf(t, attestation), attestation)
	if err := remote.WriteIndex(c.ref(t, "one/web:2"), index, c.login()); err != nil {
		t.Error(err)
	}
}

// project opens Glance as its owner does by hand.
func (c *cloud) project(t *testing.T, name string) glance.Project {
	t.Helper()
	p, err := c.glance.Open(t.Context(), glance.NewLogin(keystone.Token{ID: "by hand", ProjectID: glancetest.ProjectID(name)}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *cloud) imagesOf(t *testing.T, project, repository string) []glance.Image {
	t.Helper()
	all, err := c.project(t, project).Images(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (c *cloud) deleteImage(t *testing.T, project string, image glance.Image) {
	t.Helper()
	if err := c.project(t, project).Delete(t.Context(), image); err != nil {
		t.Fatal(err)
	}
}

func TestOddImagesInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	many := registrytest.Image(t, 100, 127)
	c.push(t, "one/many:1", many)
	c.pull(t, "one/many:1", many)
	nothing, err := mutate.AppendLayers(empty.Image, static.NewLayer(nil, types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := nothing.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	empty := c.pushBlob(t, "one/empty", nil)
	if manifest.Layers[0].Digest.String() != empty {
		t.Errorf("the empty layer is %s", manifest.Layers[0].Digest)
	}
	config := c.pushBlob(t, "one/empty", []byte("{}"))
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, "/v2/one/empty/manifests/1", manifestFor(config, 2, empty, 0)))
	if got := c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/empty/blobs/"+empty, nil)); got != "" {
		t.Errorf("the empty blob is %q", got)
	}
}

// Small blobs of a manifest have room in its image up to a size. What is more becomes layers.
func TestManySmallBlobsInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 900_000, 15)
	c.push(t, "one/a:1", image)
	c.pull(t, "one/a:1", image)
	if layers := c.glance.Layers(idOne); len(layers) != 0 {
		t.Errorf("%d small layers became images", len(layers))
	}
	parts, blobs := []string{}, 0
	for range 3 { // 3 manifests of 14 MB: one index has not room for all
		image := registrytest.Image(t, 900_000, 15)
		c.push(t, "one/b:part", image)
		raw, err := image.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q}`, types.DockerManifestSchema2, len(raw), digestOf(t, image)))
	}
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, types.OCIImageIndex, strings.Join(parts, ","))
	c.want(t, http.StatusCreated, c.put(t, "/v2/one/b/manifests/all", string(types.OCIImageIndex), index))
	stored := c.glance.Images(idOne)
	for _, one := range stored[len(stored)-1].Manifests {
		for _, part := range one.Parts {
			blobs += len(part.Content)
		}
	}
	if layers := len(c.glance.Layers(idOne)); blobs > 32<<20 || layers == 0 || layers > 15 {
		t.Errorf("the index has %d bytes of blobs, and %d layers beside it", blobs, layers)
	}
}

// All small layers of an image wait for its manifest, however many they are.
func TestMoreSmallLayersThanMemoryInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 1_000_000, 20)
	for _, to := range []string{"one/a:1", "one/b:1", "two/a:1"} {
		c.push(t, to, image)
		c.pull(t, to, image)
	}
	if layers := c.glance.Layers(idOne); len(layers) == 0 || len(layers) > 10 {
		t.Errorf("Glance has %d layers, want only those that memory has no room for", len(layers))
	}
}

func (c *cloud) put(t *testing.T, path, kind string, body []byte) *http.Response {
	t.Helper()
	return c.send(t, http.MethodPut, c.url+path, body, http.Header{"Content-Type": {kind}})
}

func (c *cloud) patch(t *testing.T, url string, body []byte, header http.Header) *http.Response {
	t.Helper()
	return c.send(t, http.MethodPatch, url, body, header)
}

func (c *cloud) send(t *testing.T, method, url string, body []byte, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if request.Header = header; header == nil {
		request.Header = http.Header{}
	}
	request.SetBasicAuth(c.user, c.password)
	answer, err := c.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func manifestFor(config string, configSize int, layer string, layerSize int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":%d,"digest":%q},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":%d,"digest":%q}]}`, manifestType, configSize, config, layerSize, layer)
}

func TestSubjectIsToldToGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	blob := c.pushBlob(t, "one/web", []byte("{}"))
	subject := hashOf("an image that is not there yet")
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"application/signature","config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":%q},
		"layers":[{"mediaType":"application/anything","size":2,"digest":%q}],"subject":{"mediaType":%q,"size":7,"digest":%q}}`, manifestType, blob, blob, manifestType, subject)
	d := digest.FromBytes(manifest)
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, "/v2/one/web/manifests/"+d.String(), manifest))
	if stored := c.glance.Images(idOne); len(stored) != 1 || stored[0].Subject.String() != subject || stored[0].Tag != "" {
		t.Errorf("Glance was given %+v", stored)
	}
	if got := c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/manifests/"+d.String(), nil)); got != string(manifest) {
		t.Errorf("the artifact is %s", got)
	}
}

func TestReferrersInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	blob := c.pushBlob(t, "one/web", []byte("{}"))
	subject := hashOf("an image that is not there yet")
	about := func(kind, note string) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"annotations":{"note":%q},"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":%q},
			"layers":[],"subject":{"mediaType":%q,"size":7,"digest":%q}}`, manifestType, kind, note, blob, manifestType, subject)
	}
	path := "/v2/one/web/referrers/" + subject
	type index struct {
		MediaType string
		Manifests []struct {
			Digest, ArtifactType string
			Annotations          map[string]string
		}
	}
	list := func(path string) (got index, header http.Header) {
		t.Helper()
		answer := c.do(t, http.MethodGet, path, nil)
		header = answer.Header
		if err := json.Unmarshal([]byte(c.want(t, http.StatusOK, answer)), &got); err != nil {
			t.Fatal(err)
		}
		return got, header
	}
	if got, _ := list(path); got.MediaType != string(types.OCIImageIndex) || got.Manifests == nil || len(got.Manifests) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	for _, one := range [][]byte{about("application/signature", "first"), about("application/sbom", "second")} {
		put := c.do(t, http.MethodPut, "/v2/one/web/manifests/"+digest.FromBytes(one).String(), one)
		if c.want(t, http.StatusCreated, put); put.Header.Get("OCI-Subject") != subject {
			t.Errorf("the client is not told that its manifest is listed: %v", put.Header)
		}
	}
	got, header := list(path)
	if len(got.Manifests) != 2 || got.Manifests[0].Annotations["note"] != "second" || header.Get("Docker-Content-Digest") != "" || header.Get("Content-Type") != string(types.OCIImageIndex) {
		t.Errorf("%+v, %v", got, header)
	}
	got, header = list(path + "?artifactType=application/signature")
	if len(got.Manifests) != 1 || got.Manifests[0].ArtifactType != "application/signature" || header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("of one kind: %+v, %v", got, header)
	}
	if got, _ := list("/v2/one/other/referrers/" + subject); len(got.Manifests) != 0 {
		t.Errorf("in another repository: %+v", got)
	}
	c.want(t, http.StatusForbidden, c.as("eve").do(t, http.MethodGet, path, nil))
	c.want(t, http.StatusUnauthorized, c.as("").do(t, http.MethodGet, path, nil))
	c.want(t, http.StatusBadRequest, c.do(t, http.MethodGet, "/v2/one/web/referrers/tag", nil))
	c.glance.Inside = func(glance.Image, []glance.Blob) []glance.Blob { return nil }
	other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
	other.user, other.password = c.user, c.password
	if got := other.want(t, http.StatusOK, other.do(t, http.MethodGet, path, nil)); !strings.Contains(got, `"manifests": []`) {
		t.Errorf("what cannot be read is listed: %s", got)
	}
}

// A push asks for the same layers again and again, and Glance is asked once.
func TestGlanceIsAskedOnceForALayer(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	layer := make([]byte, 2<<20)
	blob := c.pushBlob(t, "one/a", layer)
	for range 10 {
		c.want(t, http.StatusOK, c.do(t, http.MethodHead, "/v2/one/a/blobs/"+blob, nil))
	}
	if n := c.glance.Queries("Layers"); n != 0 {
		t.Errorf("Glance was asked %d times for a layer that was just sent", n)
	}
	other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
	other.user, other.password = c.user, c.password
	for range 10 {
		other.want(t, http.StatusOK, other.do(t, http.MethodHead, "/v2/one/a/blobs/"+blob, nil))
	}
	if n := c.glance.Queries("Layers"); n != 1 {
		t.Errorf("Glance was asked %d times for a layer", n)
	}
}

func TestStrangersInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 2<<20, 1)
	c.push(t, "one/web:1", image)
	for _, path := range []string{"/v2/one/web/manifests/1", "/v2/one/web/tags/list", "/v2/" + idOne + "/web/manifests/1", "/v2/web/manifests/1", "/v2/nobody/web/manifests/1"} {
		for _, user := range []string{"bob", "eve"} {
			if got := c.want(t, http.StatusForbidden, c.as(user).do(t, http.MethodGet, path, nil)); !strings.Contains(got, "DENIED") {
				t.Errorf("%s: %s", path, got)
			}
		}
	}
	c.want(t, http.StatusForbidden, c.as("eve").do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil))
	c.want(t, http.StatusUnauthorized, c.as("").do(t, http.MethodGet, "/v2/one/web/manifests/1", nil))
	c.want(t, http.StatusUnauthorized, c.as("mallory").do(t, http.MethodGet, "/v2/one/web/manifests/1", nil))
	layer, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	c.want(t, http.StatusNotFound, c.as("bob").do(t, http.MethodGet, "/v2/two/web/blobs/"+digestOf(t, layer[0]), nil))
}

// An upload is that of one user in one repository, whoever knows its id.
func TestUploadsOfOthersInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	started := c.do(t, http.MethodPost, "/v2/two/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	at := started.Header.Get("Location")
	content := []byte("ann's layer")
	for _, method := range []string{http.MethodPatch, http.MethodGet, http.MethodDelete} {
		c.want(t, http.StatusNotFound, c.as("bob").do(t, method, at, content))
	}
	c.want(t, http.StatusNotFound, c.as("bob").do(t, http.MethodPut, at+"&digest="+hashOf("ann's layer"), content))
	c.want(t, http.StatusForbidden, c.as("eve").do(t, http.MethodPatch, at, content))
	elsewhere := strings.Replace(at, "/v2/two/web/", "/v2/two/other/", 1)
	c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, elsewhere, nil))
	if got := c.do(t, http.MethodPatch, elsewhere, content); got.StatusCode < 400 {
		t.Errorf("an upload goes on in another repository: %s", got.Status)
	}
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, at+"&digest="+hashOf("ann's layer"), content))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodPut, at+"&digest="+hashOf("ann's layer"), content))
	c.want(t, http.StatusNotFound, c.as("bob").do(t, http.MethodGet, "/v2/two/web/blobs/"+hashOf("ann's layer"), nil))
}

func TestWrongDigestsInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	for _, content := range [][]byte{[]byte("small"), make([]byte, 3<<20)} {
		for _, wrong := range []string{hashOf("other"), "sha512:" + strings.Repeat("0", 128)} {
			started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
			c.want(t, http.StatusAccepted, started)
			if got := c.want(t, http.StatusBadRequest, c.do(t, http.MethodPut, started.Header.Get("Location")+"&digest="+wrong, content)); !strings.Contains(got, "DIGEST_INVALID") {
				t.Errorf("%s", got)
			}
			c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, started.Header.Get("Location"), nil))
		}
		c.want(t, http.StatusNotFound, c.do(t, http.MethodHead, "/v2/one/web/blobs/"+digest.FromBytes(content).String(), nil))
		c.want(t, http.StatusNotFound, c.do(t, http.MethodHead, "/v2/one/web/blobs/"+hashOf("other"), nil))
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if n := c.glance.Sending(); n != 0 || len(c.glance.Layers(idOne)) != 0 {
		t.Errorf("%d uploads go on, and Glance has the layers %v", n, c.glance.Layers(idOne))
	}
}

// A layer comes in several requests, and goes to Glance all the while.
func TestChunksToGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	content := bytes.Repeat([]byte("chunk"), 1<<20)
	started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	at := started.Header.Get("Location")
	for i, size := 0, 700_000; i < len(content); i += size {
		part := content[i:min(i+size, len(content))]
		sent := c.patch(t, at, part, nil)
		c.want(t, http.StatusAccepted, sent)
		at = sent.Header.Get("Location")
		if want := fmt.Sprintf("0-%d", i+len(part)-1); sent.Header.Get("Range") != want {
			t.Fatalf("range is %s, want %s", sent.Header.Get("Range"), want)
		}
		if i > 2<<20 && c.glance.Sending() != 1 {
			t.Fatal("nothing is sent while the layer comes")
		}
	}
	c.want(t, http.StatusNoContent, c.do(t, http.MethodGet, at, nil))
	d := digest.FromBytes(content).String()
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, at+"&digest="+d, nil))
	if got := c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/blobs/"+d, nil)); got != string(content) {
		t.Errorf("%d bytes came back of %d", len(got), len(content))
	}
}

func TestContentRangesThatLie(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	for _, lie := range []string{"5-9", "0-100", "9-0", "-1-3", "0-99999999999999999999", "junk"} {
		answer := c.patch(t, started.Header.Get("Location"), []byte("12345"), http.Header{"Content-Range": {lie}, "Content-Length": {"5"}})
		answer.Body.Close()
		if answer.StatusCode < 400 || answer.StatusCode >= 500 {
			t.Errorf("%s: %s", lie, answer.Status)
		}
	}
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, started.Header.Get("Location")+"&digest="+hashOf("12345"), []byte("12345")))
}

func TestLimitsInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{Limits: config.Limits{MaxBlobSize: 2 << 20, MaxOpenUploads: 3}})
	started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	if got := c.want(t, http.StatusRequestEntityTooLarge, c.patch(t, started.Header.Get("Location"), make([]byte, 3<<20), nil)); !strings.Contains(got, "DENIED") {
		t.Error(got)
	}
	c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, started.Header.Get("Location"), nil))
	for range 3 {
		c.want(t, http.StatusAccepted, c.do(t, http.MethodPost, "/v2/two/web/blobs/uploads/", nil))
	}
	refused := c.do(t, http.MethodPost, "/v2/two/web/blobs/uploads/", nil)
	if got := c.want(t, http.StatusTooManyRequests, refused); !strings.Contains(got, "3 uploads open") || refused.Header.Get("Retry-After") == "" {
		t.Error(got)
	}
	c.want(t, http.StatusAccepted, c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil))
	c.want(t, http.StatusRequestEntityTooLarge, c.do(t, http.MethodPut, "/v2/one/web/manifests/1", make([]byte, 5<<20)))
}

func TestManifestsThatAreRefused(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	config, layer := c.pushBlob(t, "one/web", []byte("{}")), c.pushBlob(t, "one/web", []byte("layer"))
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf(`{"mediaType":"application/x","size":1,"digest":%q}`, hashOf(fmt.Sprint(i))))
	}
	const index = "application/vnd.oci.image.index.v1+json"
	for want, one := range map[string]struct{ kind, body string }{
		"MANIFEST_BLOB_UNKNOWN":   {manifestType, string(manifestFor(config, 2, hashOf("missing"), 7))},
		"has 5 bytes, and not 6":  {manifestType, string(manifestFor(config, 2, layer, 6))},
		"more than 4096 blobs":    {manifestType, fmt.Sprintf(`{"schemaVersion":2,"config":{"size":2,"digest":%q},"layers":[%s]}`, config, strings.Join(many, ","))},
		"to be fetched from":      {manifestType, strings.Replace(string(manifestFor(config, 2, layer, 5)), `"size":5`, `"urls":["http://192.0.2.1/"],"size":5`, 1)},
		"schemaVersion is 1":      {manifestType, strings.Replace(string(manifestFor(config, 2, layer, 5)), `"schemaVersion":2`, `"schemaVersion":1`, 1)},
		"names a blob by":         {manifestType, string(manifestFor("../../etc", 2, layer, 5))},
		hashOf("0"):               {index, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, index, many[0])},
		"MANIFEST_BLOB_UNKNOWN\"": {index, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, index, strings.Join(many, ","))},
	} {
		answer := c.put(t, "/v2/one/web/manifests/1", one.kind, []byte(one.body))
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode < 400 || answer.StatusCode >= 500 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %.300s", want, answer.Status, body)
		}
	}
	if stored := c.glance.Images(idOne); len(stored) != 0 {
		t.Errorf("Glance was given %+v", stored)
	}
}

func TestDeepIndexInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	const index = "application/vnd.oci.image.index.v1+json"
	inner := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, index)
	for range 3 {
		c.want(t, http.StatusCreated, c.put(t, "/v2/one/web/manifests/deep", index, inner))
		inner = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":%d,"digest":%q}]}`, index, index, len(inner), digest.FromBytes(inner))
	}
	c.want(t, http.StatusCreated, c.put(t, "/v2/one/web/manifests/deep", index, inner))
	inner = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":%d,"digest":%q}]}`, index, index, len(inner), digest.FromBytes(inner))
	if got := c.want(t, http.StatusBadRequest, c.put(t, "/v2/one/web/manifests/deep", index, inner)); !strings.Contains(got, "deep") {
		t.Error(got)
	}
}

func TestOddTags(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	for _, tag := range []string{"..", "%2e%2e", "a%2fb", "%00", "a:b", "a@b", "-", ".hidden", strings.Repeat("a", 129), "%F0%9F%90%B3", "a%20b", "in:%22x%22"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			answer := c.do(t, method, "/v2/one/web/manifests/"+tag, []byte("{}"))
			answer.Body.Close()
			if answer.StatusCode < 300 || answer.StatusCode >= 500 {
				t.Errorf("%s %s: %s", method, tag, answer.Status)
			}
		}
	}
}

// What Glance says to a user is passed on, whatever he does.
func TestGlanceRefuses(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 2<<20, 1)
	c.push(t, "one/web:1", image)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	kind, blob, large := string(types.DockerManifestSchema2), "/v2/one/web/blobs/"+digestOf(t, layers[0]), make([]byte, 2<<20)
	for status, refused := range map[int]error{
		http.StatusForbidden:           &glance.Refused{Kind: glance.Denied, Reason: errors.New("Glance's policy forbids it")},
		http.StatusServiceUnavailable:  &glance.Refused{Kind: glance.Unavailable, Reason: errors.New("Glance is away")},
		http.StatusUnauthorized:        &glance.Refused{Kind: glance.LoginExpired, Reason: errors.New("the token has ended")},
		http.StatusInternalServerError: errors.New("Post https://secret.example: connection refused"),
	} {
		started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
		c.want(t, http.StatusAccepted, started)
		c.glance.Fail = func(call, _ string) error { return refused }
		for what, answer := range map[string]*http.Response{
			"pull by tag":      c.do(t, http.MethodGet, "/v2/one/web/manifests/1", nil),
			"pull by digest":   c.do(t, http.MethodGet, "/v2/one/web/manifests/"+digestOf(t, image), nil),
			"pull a layer":     c.do(t, http.MethodGet, blob, nil),
			"look for a layer": c.do(t, http.MethodGet, "/v2/one/web/blobs/"+hashOf("never seen"), nil),
			"send a layer":     c.do(t, http.MethodPut, started.Header.Get("Location")+"&digest="+digest.FromBytes(large).String(), large),
			"push":             c.put(t, "/v2/one/web/manifests/2", kind, raw),
			"delete":           c.do(t, http.MethodDelete, "/v2/one/web/manifests/"+digestOf(t, image), nil),
			"delete a tag":     c.do(t, http.MethodDelete, "/v2/one/web/manifests/1", nil),
			"tags":             c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil),
		} {
			body, _ := io.ReadAll(answer.Body)
			if status == http.StatusUnauthorized && strings.Contains(string(body), "Glance says so of a new token, too") {
				continue // all but the first
			}
			if answer.StatusCode != status {
				t.Errorf("%s, and Glance says %v: %s %s", what, refused, answer.Status, body)
			}
			if told := strings.Contains(string(body), refused.Error()); told != (status != http.StatusInternalServerError) || strings.Contains(string(body), "secret") {
				t.Errorf("%s, and Glance says %v: %s", what, refused, body)
			}
			if status == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" || status == http.StatusUnauthorized && answer.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: the client is not told what helps: %v", what, answer.Header)
			}
		}
		catalog := c.do(t, http.MethodGet, "/v2/_catalog", nil)
		catalog.Body.Close()
		if status == http.StatusUnauthorized {
			status = http.StatusForbidden // it is a new token by then
		} else if status == http.StatusForbidden { // that he may not look into one project does not hide the others
			status = http.StatusOK
		}
		if catalog.StatusCode != status {
			t.Errorf("the catalog, and Glance says %v: %s", refused, catalog.Status)
		}
		c.glance.Fail = nil
	}
	c.pull(t, "one/web:1", image)
}

// A token that Glance takes no more is not used again: the password is there for another one.
func TestExpiredTokenIsForgotten(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	c.push(t, "one/web:1", registrytest.Image(t, 10, 1))
	before := c.keystone.Tokens()
	c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil))
	if n := c.keystone.Tokens(); n != before {
		t.Errorf("Keystone was asked for %d more tokens", n-before)
	}
	c.glance.Fail = func(string, string) error {
		return &glance.Refused{Kind: glance.LoginExpired, Reason: errors.New("ended")}
	}
	c.want(t, http.StatusUnauthorized, c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil))
	c.glance.Fail = nil
	c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil))
	if n := c.keystone.Tokens(); n != before+2 {
		t.Errorf("Keystone was asked for %d more tokens, want one for the user and one for the project", n-before)
	}
}

// A token that Glance does not take though it is new is not exchanged time and again, and the client is not asked to log in.
func TestNewTokenIsRefused(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	c.push(t, "one/web:1", registrytest.Image(t, 10, 1))
	c.glance.Fail = func(string, string) error {
		return &glance.Refused{Kind: glance.LoginExpired, Reason: errors.New("Glance requires authentication")}
	}
	c.want(t, http.StatusUnauthorized, c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil))
	before := 0
	for n := range 3 {
		answer := c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil)
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusForbidden || answer.Header.Get("WWW-Authenticate") != "" || !strings.Contains(string(body), "Glance requires authentication; Glance says so of a new token, too: see that the access rules") {
			t.Errorf("%d: %s %s", n, answer.Status, body)
		}
		if n == 0 {
			before = c.keystone.Tokens()
		}
	}
	if n := c.keystone.Tokens(); n != before {
		t.Errorf("Keystone was asked for %d more tokens", n-before)
	}
	c.glance.Fail = nil
	c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/tags/list", nil))
}

// What has come of Glance is verified before it counts as a manifest, and a blob that breaks off is not whole.
func TestGlanceGivesOtherBytes(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 2<<20, 1)
	c.push(t, "one/web:1", image)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for what, give := range map[string]func(glance.Blob, []byte) io.ReadCloser{
		"other": func(_ glance.Blob, b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(bytes.ToUpper(b))) },
		"less":  func(_ glance.Blob, b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b[:len(b)/2])) },
		"fail": func(_ glance.Blob, b []byte) io.ReadCloser {
			return io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), broken{}))
		},
		"none": func(glance.Blob, []byte) io.ReadCloser { return io.NopCloser(broken{}) },
		"longer": func(_ glance.Blob, b []byte) io.ReadCloser {
			return io.NopCloser(io.MultiReader(bytes.NewReader(b), bytes.NewReader(b)))
		},
	} {
		c.glance.Bytes = give
		manifest := c.do(t, http.MethodGet, "/v2/one/web/manifests/1", nil)
		body, _ := io.ReadAll(manifest.Body)
		if whole := manifest.StatusCode == http.StatusOK && digest.FromBytes(body).String() == digestOf(t, image); whole != (what == "longer") || manifest.StatusCode == http.StatusOK && !whole {
			t.Errorf("%s: %s %.100s", what, manifest.Status, body)
		}
		blob := c.do(t, http.MethodGet, "/v2/one/web/blobs/"+digestOf(t, layers[0]), nil)
		got, err := io.ReadAll(blob.Body)
		if short := what == "less" || what == "fail" || what == "none"; short != (err != nil) {
			t.Errorf("%s: the layer of %d bytes is %d bytes, %v", what, blob.ContentLength, len(got), err)
		}
	}
	c.glance.Bytes = nil
	c.pull(t, "one/web:1", image)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// The list of what is in an image is made of a tenant's bytes.
func TestHostileContents(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 100, 1)
	c.push(t, "one/web:1", image)
	c.pushBlob(t, "one/other", make([]byte, 2<<20))
	d := digest.Digest(digestOf(t, image))
	for what, inside := range map[string]func(glance.Image, []glance.Blob) []glance.Blob{
		"nothing": func(glance.Image, []glance.Blob) []glance.Blob { return nil },
		"other image": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return []glance.Blob{{Digest: d, Size: 10, Image: "other"}}
		},
		"huge": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return []glance.Blob{{Digest: d, Size: 1 << 50, Image: i.ID}}
		},
		"negative": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return []glance.Blob{{Digest: d, Size: -1, Image: i.ID}}
		},
		"before": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return []glance.Blob{{Digest: d, Size: 1, Offset: -1, Image: i.ID}}
		},
		"wrong place": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return []glance.Blob{{Digest: d, Size: 2, Image: i.ID}}
		},
		"no digest": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return []glance.Blob{{Digest: "../..", Size: 2, Image: i.ID}}
		},
		"many": func(i glance.Image, b []glance.Blob) []glance.Blob { return slices.Repeat(b, 100_000) },
		"the config": func(i glance.Image, b []glance.Blob) []glance.Blob {
			b = slices.Clone(b)
			b[1].Digest = d
			return b[1:2]
		},
		"the same huge": func(i glance.Image, b []glance.Blob) []glance.Blob {
			return append(slices.Clone(b[:0]), glance.Blob{Digest: d, Size: 5 << 20, Image: i.ID})
		},
	} {
		c.glance.Inside = inside
		other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
		other.user, other.password = c.user, c.password
		answer := other.do(t, http.MethodGet, "/v2/one/web/manifests/1", nil)
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "MANIFEST_UNKNOWN") {
			t.Errorf("%s: %s %.200s", what, answer.Status, body)
		}
		other.end()
		c.glance.Inside = nil
	}
}

// Somebody gives any image the name of a repository's: it does not get in the way of the others, and a push mends it.
func TestDamagedImageInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	good, bad := registrytest.Image(t, 100, 1), registrytest.Image(t, 100, 1)
	c.push(t, "one/web:good", good)
	c.push(t, "one/web:bad", bad)
	c.glance.Fail = func(call, _ string) error {
		if call == "Contents" {
			return errors.New("this is no archive")
		}
		return nil
	}
	other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
	other.user, other.password = c.user, c.password
	for range 3 {
		other.want(t, http.StatusNotFound, other.do(t, http.MethodHead, "/v2/one/web/blobs/"+hashOf("a new layer"), nil))
		other.want(t, http.StatusNotFound, other.do(t, http.MethodGet, "/v2/one/web/manifests/bad", nil))
	}
	asked := c.glance.Queries("Open")
	(&cloud{other, c.glance, c.keystone}).push(t, "one/web:bad", bad)
	if n := len(c.glance.Images(idOne)); n != 3 || c.glance.Queries("Open") != asked {
		t.Errorf("a damaged image is not replaced: there are %d", n)
	}
	c.glance.Fail = nil
	(&cloud{other, c.glance, c.keystone}).pull(t, "one/web:bad", bad)
}

// An image that Glance cannot deliver does not get in the way of pushes of others.
func TestUnreadableImageInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	c.push(t, "one/web:bad", registrytest.Image(t, 100, 1))
	c.glance.Fail = func(call, _ string) error {
		if call == "Contents" {
			return &glance.Refused{Kind: glance.Unavailable, Reason: errors.New("Glance cannot read the image")}
		}
		return nil
	}
	other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
	other.user, other.password = c.user, c.password
	other.want(t, http.StatusNotFound, other.do(t, http.MethodHead, "/v2/one/web/blobs/"+hashOf("a new layer"), nil))
	(&cloud{other, c.glance, c.keystone}).push(t, "one/web:new", registrytest.Image(t, 100, 1))
	other.want(t, http.StatusServiceUnavailable, other.do(t, http.MethodGet, "/v2/one/web/manifests/bad", nil))
}

// A layer that is gone when the image is stored is asked for again.
func TestLayersThatAreGone(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	layer := make([]byte, 2<<20)
	config, blob := c.pushBlob(t, "one/web", []byte("{}")), c.pushBlob(t, "one/web", layer)
	manifest := manifestFor(config, 2, blob, len(layer))
	c.glance.StoreGone = true
	if got := c.want(t, http.StatusBadRequest, c.do(t, http.MethodPut, "/v2/one/web/manifests/1", manifest)); !strings.Contains(got, "MANIFEST_BLOB_UNKNOWN") || !strings.Contains(got, blob) {
		t.Error(got)
	}
	c.glance.StoreGone = false
	c.glance.DropLayer(idOne, digest.Digest(blob))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodHead, "/v2/one/web/blobs/"+blob, nil))
	if got := c.want(t, http.StatusBadRequest, c.do(t, http.MethodPut, "/v2/one/web/manifests/1", manifest)); !strings.Contains(got, "MANIFEST_BLOB_UNKNOWN") {
		t.Error(got)
	}
	c.pushBlob(t, "one/web", layer)
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, "/v2/one/web/manifests/1", manifest))
	c.glance.DropLayer(idOne, digest.Digest(blob))
	c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, "/v2/one/web/blobs/"+blob, nil))
	c.pushBlob(t, "one/web", layer) // the same again mends it
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, "/v2/one/web/manifests/1", manifest))
	c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/one/web/blobs/"+blob, nil))
}

// A blob can be deleted unless an image needs it, be it in memory, an image of its own, or in another repository.
func TestBlobsAreDeletedInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	layer := make([]byte, 2<<20)
	config, blob := c.pushBlob(t, "two/web", []byte("{}")), c.pushBlob(t, "two/web", layer)
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, "/v2/two/web/manifests/1", manifestFor(config, 2, blob, len(layer))))
	for _, path := range []string{"/v2/two/web/blobs/" + config, "/v2/two/web/blobs/" + blob, "/v2/two/other/blobs/" + blob} {
		if got := c.want(t, http.StatusMethodNotAllowed, c.do(t, http.MethodDelete, path, nil)); !strings.Contains(got, "UNSUPPORTED") || !strings.Contains(got, "delete the image first") {
			t.Errorf("%s: %s", path, got)
		}
	}
	c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/two/web/blobs/"+blob, nil))
	c.want(t, http.StatusAccepted, c.do(t, http.MethodDelete, "/v2/two/web/manifests/"+digest.FromBytes(manifestFor(config, 2, blob, len(layer))).String(), nil))
	for _, d := range []string{config, blob} {
		path := "/v2/two/web/blobs/" + d
		c.want(t, http.StatusAccepted, c.do(t, http.MethodDelete, path, nil))
		c.want(t, http.StatusNotFound, c.do(t, http.MethodHead, path, nil))
		c.want(t, http.StatusNotFound, c.do(t, http.MethodGet, path, nil))
		if got := c.want(t, http.StatusNotFound, c.do(t, http.MethodDelete, path, nil)); !strings.Contains(got, "BLOB_UNKNOWN") {
			t.Error(got)
		}
	}
	c.want(t, http.StatusNotFound, c.do(t, http.MethodDelete, "/v2/two/web/blobs/sha512:"+strings.Repeat("0", 128), nil))
	if got := c.want(t, http.StatusBadRequest, c.do(t, http.MethodPut, "/v2/two/web/manifests/1", manifestFor(config, 2, blob, len(layer)))); !strings.Contains(got, blob) {
		t.Errorf("a push with deleted blobs: %s", got)
	}
}

// Who may not push to a project deletes nothing there, whatever digest he knows.
func TestBlobsOfOthersAreNotDeleted(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	small, large := c.pushBlob(t, "two/web", []byte("small")), c.pushBlob(t, "two/web", make([]byte, 2<<20))
	for _, d := range []string{small, large} {
		c.want(t, http.StatusForbidden, c.as("eve").do(t, http.MethodDelete, "/v2/two/web/blobs/"+d, nil))
		c.want(t, http.StatusNotFound, c.as("eve").do(t, http.MethodDelete, "/v2/three/web/blobs/"+d, nil))
	}
	c.want(t, http.StatusNotFound, c.as("bob").do(t, http.MethodDelete, "/v2/two/web/blobs/"+small, nil)) // it is in Ann's memory
	c.want(t, http.StatusUnauthorized, c.as("").do(t, http.MethodDelete, "/v2/two/web/blobs/"+large, nil))
	c.glance.Fail = func(call, _ string) error {
		if call == "Condemn" {
			return &glance.Refused{Kind: glance.Denied, Reason: errors.New("a policy forbids it")}
		}
		return nil
	}
	if got := c.want(t, http.StatusForbidden, c.do(t, http.MethodDelete, "/v2/two/web/blobs/"+large, nil)); !strings.Contains(got, "a policy forbids it") {
		t.Error(got)
	}
	for _, d := range []string{small, large} {
		c.want(t, http.StatusOK, c.do(t, http.MethodHead, "/v2/two/web/blobs/"+d, nil))
	}
}

// An application credential deletes blobs where an access rule says DELETE.
func TestAccessRulesForBlobs(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	rule := func(method, path string) map[string]string {
		return map[string]string{"service": keystone.ServiceType, "method": method, "path": path}
	}
	var ofGlance []map[string]string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		ofGlance = append(ofGlance, map[string]string{"service": "image", "method": method, "path": "/v2/images**"})
	}
	for status, rules := range map[int][]map[string]string{
		http.StatusForbidden: {rule("GET", "/v2/**"), rule("PUT", "/v2/**"), rule("DELETE", "/v2/two/other/**")},
		http.StatusNotFound:  {rule("DELETE", "/v2/two/web/**")},
	} {
		c.keystone.Restrict("bob", append(rules, ofGlance...)...)
		other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
		other.user, other.password = "bob", glancetest.Password
		other.want(t, status, other.do(t, http.MethodDelete, "/v2/two/web/blobs/"+digest.FromString("any").String(), nil))
	}
}

// A layer that is deleted while an image is pushed that has it is asked for again, also where its place was remembered.
func TestLayerIsDeletedDuringPush(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	layer := make([]byte, 2<<20)
	config, blob := c.pushBlob(t, "two/web", []byte("{}")), c.pushBlob(t, "two/web", layer)
	c.glance.DropLayer(glancetest.ProjectID("two"), digest.Digest(blob)) // by another registry's DELETE
	c.want(t, http.StatusOK, c.do(t, http.MethodHead, "/v2/two/web/blobs/"+blob, nil))
	manifest := manifestFor(config, 2, blob, len(layer))
	if got := c.want(t, http.StatusBadRequest, c.do(t, http.MethodPut, "/v2/two/web/manifests/1", manifest)); !strings.Contains(got, "MANIFEST_BLOB_UNKNOWN") {
		t.Error(got)
	}
	c.want(t, http.StatusNotFound, c.do(t, http.MethodHead, "/v2/two/web/blobs/"+blob, nil))
	c.pushBlob(t, "two/web", layer)
	c.want(t, http.StatusCreated, c.do(t, http.MethodPut, "/v2/two/web/manifests/1", manifest))
	c.want(t, http.StatusOK, c.do(t, http.MethodGet, "/v2/two/web/blobs/"+blob, nil))
}

// When a registry ends, so do the uploads that it has open.
func TestUploadsEndWithTheRegistry(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	c.want(t, http.StatusAccepted, c.patch(t, started.Header.Get("Location"), make([]byte, 3<<20), nil))
	if c.glance.Sending() != 1 {
		t.Fatal("nothing is sent while the layer comes")
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if c.glance.Sending() != 0 || len(c.glance.Layers(idOne)) != 0 {
		t.Error("an upload outlives its registry")
	}
}

// A request that ends does not end the upload, and a client that comes back for the answer gets it.
func TestClientGoesWhileGlanceTakesItsTime(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	going, kept := make(chan struct{}), make(chan struct{})
	c.glance.Slow = func(context.Context) { close(going); <-kept }
	content := make([]byte, 3<<20)
	started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	sent := c.patch(t, started.Header.Get("Location"), content, nil)
	c.want(t, http.StatusAccepted, sent)
	at := sent.Header.Get("Location") + "&digest=" + digest.FromBytes(content).String()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(c.user, c.password)
	go func() { <-going; cancel() }()
	if answer, err := c.client.Do(request); err == nil {
		t.Fatalf("got %s", answer.Status)
	}
	close(kept)
	again := http.StatusConflict
	for again == http.StatusConflict { // the first request is about to end
		answer := c.do(t, http.MethodPut, at, nil)
		answer.Body.Close()
		again = answer.StatusCode
	}
	if again != http.StatusCreated && again != http.StatusNotFound { // the first one may have completed the upload
		t.Errorf("the upload ends with %d", again)
	}
	c.want(t, http.StatusOK, c.do(t, http.MethodHead, "/v2/one/web/blobs/"+digest.FromBytes(content).String(), nil))
}

// A client that asks again while its upload is completed does not end it.
func TestUploadIsCompletedTwiceAtOnce(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	going, kept := make(chan struct{}), make(chan struct{})
	c.glance.Slow = func(context.Context) { close(going); <-kept }
	content := make([]byte, 3<<20)
	started := c.do(t, http.MethodPost, "/v2/one/web/blobs/uploads/", nil)
	c.want(t, http.StatusAccepted, started)
	sent := c.patch(t, started.Header.Get("Location"), content, nil)
	c.want(t, http.StatusAccepted, sent)
	at := sent.Header.Get("Location") + "&digest=" + digest.FromBytes(content).String()
	first := make(chan *http.Response, 1)
	go func() { first <- c.do(t, http.MethodPut, at, nil) }()
	<-going
	second := c.do(t, http.MethodPut, at, nil)
	close(kept)
	c.want(t, http.StatusConflict, second)
	c.want(t, http.StatusCreated, <-first)
	c.want(t, http.StatusNotFound, c.do(t, http.MethodPut, at, nil))
}

func TestErrorsAreJSON(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	for _, path := range []string{"/v2/one/web/manifests/1", "/v2/one/web/blobs/" + hashOf("x"), "/v2/one/web/blobs/sha256:x", "/v2/one/web/tags/list", "/v2/one/web/blobs/uploads/nothing"} {
		var told struct {
			Errors []struct{ Code, Message string }
		}
		if err := json.NewDecoder(c.do(t, http.MethodGet, path, nil).Body).Decode(&told); err != nil || len(told.Errors) == 0 || told.Errors[0].Code == "UNKNOWN" {
			t.Errorf("%s: %v %+v", path, err, told)
		}
	}
}

// again serves the same Glance by a registry that remembers nothing.
func (c *cloud) again(t *testing.T) *cloud {
	t.Helper()
	other := serve(t, config.Options{Glance: config.GlanceOptions{Used: true}, OpenGlance: opens(c.glance), Keystone: keystone.Options{URL: c.keystone.URL}})
	other.user, other.password = c.user, c.password
	return &cloud{other, c.glance, c.keystone}
}

// Somebody says of an image that its manifest is another one, which its bytes have, too: what hosts boot is not what is pulled then.
func TestTagOfAnotherManifestInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 100, 1)
	c.push(t, "one/web:1", image)
	c.glance.Inside = func(i glance.Image, b []glance.Blob) []glance.Blob {
		b = slices.Clone(b)
		slices.Reverse(b)
		return b
	}
	other := c.again(t)
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		other.want(t, http.StatusNotFound, other.do(t, method, "/v2/one/web/manifests/1", nil))
	}
	c.glance.Inside = nil
	c.again(t).pull(t, "one/web:1", image)
}

// A registry that was just started has looked into no image, and finds what is in the oldest of many.
func TestSmallBlobOfManyImages(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	oldest := registrytest.Image(t, 100, 1)
	c.push(t, "one/web:oldest", oldest)
	config := c.pushBlob(t, "one/web", []byte("{}"))
	for n := range 101 {
		layer := []byte(fmt.Sprint("layer ", n))
		manifest := manifestFor(config, 2, c.pushBlob(t, "one/web", layer), len(layer))
		c.want(t, http.StatusCreated, c.do(t, http.MethodPut, fmt.Sprintf("/v2/one/web/manifests/%d", n), manifest))
	}
	name, err := oldest.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	other := c.again(t)
	other.want(t, http.StatusOK, other.do(t, http.MethodGet, "/v2/one/web/blobs/"+name.String(), nil))
}

// A blob in an image's own bytes that is not what it is said to be is not served, not even in part, and found elsewhere.
func TestDamagedSmallBlobInGlance(t *testing.T) {
	c := serveInGlance(t, config.Options{})
	image := registrytest.Image(t, 100, 1)
	c.push(t, "one/web:1", image)
	name, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	path := "/v2/one/web/blobs/" + name.String()
	c.glance.Bytes = func(_ glance.Blob, stored []byte) io.ReadCloser {
		return io.NopCloser(bytes.NewReader(bytes.ToUpper(stored)))
	}
	other := c.again(t)
	answer := other.do(t, http.MethodGet, path, nil)
	if body := other.want(t, http.StatusNotFound, answer); !strings.Contains(body, "BLOB_UNKNOWN") {
		t.Errorf("%s %v", body, answer.Header)
	}
	c.glance.Bytes = nil
	other = c.again(t)
	opened := c.glance.Queries("Open")
	for range 3 {
		other.want(t, http.StatusOK, other.do(t, http.MethodGet, path, nil))
	}
	if n := c.glance.Queries("Open") - opened; n != 4 {
		t.Errorf("a blob was read %d times for three requests, want once more than that", n)
	}
}
