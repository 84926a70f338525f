package openstack

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

// tokenWith is for the fake cloud's project, and a Glance at this address.
func tokenWith(id, glance string) Token {
	return Token{ID: id, Project: tokens.Project{ID: fakecloud.ProjectID}, Catalogue: catalogueWith(map[string]string{"RegionOne": glance})}
}

func catalogueWith(urls map[string]string) []tokens.CatalogEntry {
	entry := tokens.CatalogEntry{Type: "image"}
	for region, url := range urls {
		entry.Endpoints = append(entry.Endpoints,
			tokens.Endpoint{Interface: "admin", Region: region, RegionID: region, URL: "http://admin.invalid"},
			tokens.Endpoint{Interface: "public", Region: region, RegionID: region, URL: url},
			tokens.Endpoint{Interface: "internal", Region: region, RegionID: region, URL: url + "/internal"})
	}
	return []tokens.CatalogEntry{{Type: "compute", Endpoints: []tokens.Endpoint{{Interface: "public", Region: "RegionOne", URL: "http://nova.invalid"}}}, entry}
}

func constant(token Token) func() Token { return func() Token { return token } }

func newGlance(t *testing.T, o GlanceOptions) *Glance {
	t.Helper()
	glance, err := NewGlance(o)
	if err != nil {
		t.Fatal(err)
	}
	return glance
}

// withToken logs in to the fake cloud with a token alone.
func withToken(t *testing.T, fake *fakecloud.Cloud) *Cloud {
	t.Helper()
	cloud, err := newGlance(t, GlanceOptions{Agent: "test"}).With(constant(tokenWith(fake.Token(), strings.TrimSuffix(fake.URL, "/v3")+"/image/v2/")))
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

// TestGlanceWithToken: what a token lets its user do is done without a login, and its end is said to be that.
func TestGlanceWithToken(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	cloud := withToken(t, fake)
	sent, err := cloud.SendLayer(t.Context(), layerUpload("the layer"))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := cloud.Layers(t.Context(), []string{layerDigest}); err != nil || found[layerDigest] != sent {
		t.Errorf("found %v, %v", found, err)
	}
	breaks(t, fake, fakecloud.TokensExpired)
	_, err = cloud.Layers(t.Context(), []string{layerDigest})
	openstacktest.WantError(t, err, "look for layers in Glance: The request you have made requires authentication. (req-")
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized || strings.Contains(fmt.Sprintf("%+v", err), "token-") {
		t.Errorf("error %+v", err)
	}
}

// TestTokensAreKeptApart: many use the same few connections, each with his own token.
func TestTokensAreKeptApart(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"images": [{"id": "1", "name": %q, "status": "active", "container_format": "docker"}]}`, r.Header.Get("X-Auth-Token"))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	glance := newGlance(t, GlanceOptions{})
	var all sync.WaitGroup
	for user := range 4 {
		all.Go(func() {
			for n := range 25 {
				token := fmt.Sprintf("token-%d-%d", user, n)
				cloud, err := glance.With(constant(tokenWith(token, server.URL)))
				if err != nil {
					t.Error(err)
					return
				}
				if images, err := cloud.Images(t.Context()); err != nil || len(images) != 1 || images[0].Name != token {
					t.Errorf("with %s: %v, %v", token, images, err)
				}
			}
		})
	}
	all.Wait()
	if made := connections.Load(); made > 8 {
		t.Errorf("%d connections for 100 requests of 4 users", made)
	}
}

// TestTokenIsRenewed: what takes longer than a token lives goes on with the next.
func TestTokenIsRenewed(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	token := tokenWith("ended", strings.TrimSuffix(fake.URL, "/v3")+"/image")
	cloud, err := newGlance(t, GlanceOptions{}).With(func() Token { return token })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cloud.Images(t.Context()); err == nil {
		t.Error("the first token is taken")
	}
	token.ID = fake.Token()
	if _, err := cloud.Images(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEndlessAnswer: what a tenant has put into Glance does not fill the memory.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"images": [{"id": "`)
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(strings.Repeat("x", 1<<20))); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	cloud, err := newGlance(t, GlanceOptions{}).With(constant(tokenWith("token", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cloud.ManifestImages(t.Context())
	openstacktest.WantError(t, err, "list the project's images: ", "the answer has more than 16777216 bytes")
}

// TestEndlessList: neither does a list that never ends.
func TestEndlessList(t *testing.T) {
	t.Parallel()
	page := strings.TrimSuffix(strings.Repeat(`{"id": "1", "name": "web"},`, 1000), ",")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"images": [%s], "next": "/v2/images?marker=1"}`, page)
	}))
	t.Cleanup(server.Close)
	cloud, err := newGlance(t, GlanceOptions{}).With(constant(tokenWith("token", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cloud.Tagged(t.Context(), "web", "1")
	openstacktest.WantError(t, err, `look for image "web@1": `, "the project has too many images: more than 10000")
}

func TestGlanceEndpoint(t *testing.T) {
	t.Parallel()
	two := map[string]string{"north": "https://north.invalid", "south": "https://south.invalid/v2"}
	for name, test := range map[string]struct {
		options   GlanceOptions
		catalogue []tokens.CatalogEntry
		want      string // address, or words of an error
	}{
		"the only region":   {GlanceOptions{}, catalogueWith(map[string]string{"north": "https://north.invalid/image"}), "https://north.invalid/image/"},
		"with a version":    {GlanceOptions{Region: "south"}, catalogueWith(two), "https://south.invalid/"},
		"another interface": {GlanceOptions{Region: "north", Interface: "internal"}, catalogueWith(two), "https://north.invalid/internal/"},
		"several regions":   {GlanceOptions{}, catalogueWith(two), "Glance is in 2 regions, north, south, and none is chosen"},
		"another region":    {GlanceOptions{Region: "west"}, catalogueWith(two), "Glance is not in region west, but in north, south"},
		"no Glance":         {GlanceOptions{Region: "west"}, catalogueWith(nil), "find Glance's public endpoint in the catalogue: the catalogue has no such endpoint"},
		"without TLS":       {GlanceOptions{}, catalogueWith(map[string]string{"north": "http://north.invalid"}), "plain HTTP to Glance at north.invalid shows tokens to the network"},
		"without, wanted":   {GlanceOptions{Insecure: true}, catalogueWith(map[string]string{"north": "http://north.invalid"}), "http://north.invalid/"},
		"on this host":      {GlanceOptions{}, catalogueWith(map[string]string{"north": "http://[::1]:9292"}), "http://[::1]:9292/"},
		"no address":        {GlanceOptions{}, catalogueWith(map[string]string{"north": "file:///etc"}), "is no address of a service"},
		"no catalogue":      {GlanceOptions{}, nil, "the catalogue has no such endpoint"},
	} {
		got, err := newGlance(t, test.options).endpoint(test.catalogue)
		if (err != nil || got != test.want) && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestGlanceWithoutToken(t *testing.T) {
	t.Parallel()
	if _, err := newGlance(t, GlanceOptions{}).With(constant(tokenWith("", "https://glance.invalid"))); err == nil {
		t.Error("no error")
	}
	secret := tokenWith("secret", "https://glance.invalid")
	for _, format := range []string{"%s", "%v", "%+v"} {
		if text := fmt.Sprintf(format, secret); strings.Contains(text, "secret") {
			t.Errorf("%s shows %s", format, text)
		}
	}
	if _, err := NewGlance(GlanceOptions{CACert: "/nowhere"}); err == nil || !strings.Contains(err.Error(), "read Glance's CA: open /nowhere") {
		t.Errorf("error %v", err)
	}
}
