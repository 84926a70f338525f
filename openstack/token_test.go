package openstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"golang.org/x/sync/errgroup"

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
	_, err = cloud.Layers(t.Context(), []string{layerDigest})
	openstacktest.WantError(t, err, "look for layers in Glance: ", "more than 1000 have the names of 1 layers: delete those that no image needs")
}

// TestLongLists: what a project's users write into their images takes little memory in lists of a registry.
func TestLongLists(t *testing.T) {
	t.Parallel()
	const count = 2000
	one := fmt.Sprintf(`{"id": "1", "name": "web", "owner": %q, "status": "active", "container_format": "docker", "docker_image_digest": %q, "docker_manifest_type": %q, "docker_tags": %q, "docker_subject": %q, "architecture": %q},`,
		fakecloud.ProjectID, digestOf("one"), imageType, strings.Repeat(",", longestTags), strings.Repeat("x", longestTags), strings.Repeat("x", longestTags))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		page, next := strings.TrimSuffix(strings.Repeat(one, 100), ","), ""
		if number, _ := strconv.Atoi(r.URL.Query().Get("marker")); number < count/100 {
			next = fmt.Sprintf(`, "next": "/v2/images?marker=%d"`, number+1)
		}
		fmt.Fprintf(w, `{"images": [%s]%s}`, page, next)
	}))
	t.Cleanup(server.Close)
	cloud, err := newGlance(t, GlanceOptions{}).With(constant(tokenWith("token", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	all, err := cloud.listUpTo(t.Context(), mostListed, "list", imageFilter{})
	if err != nil || len(all) < count {
		t.Fatalf("%d images, %v", len(all), err)
	}
	for _, image := range all {
		if size := len(image.tags) + len(image.Subject) + len(image.Architecture); size > 0 {
			t.Fatalf("an image has %d bytes that nobody needs", size)
		}
	}
}

// TestTags: of an image's tags so many are told as somebody reads.
func TestTags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "web:1": 1, "web:1,web:latest": 2, strings.Repeat(",", longestTags): mostTags} {
		if got := (Image{tags: text}).Tags(); len(got) != want {
			t.Errorf("of %.20q: %d tags, want %d", text, len(got), want)
		}
	}
	if got := (Image{tags: "web:1,web:latest"}).Tags(); !slices.Equal(got, []string{"web:1", "web:latest"}) {
		t.Errorf("tags %q", got)
	}
}

// TestListTurns: of one project so many lists are read at once, and of all together not many more.
func TestListTurns(t *testing.T) {
	t.Parallel()
	turns := newListTurns()
	var leave []func()
	take := func(project string, times int) {
		t.Helper()
		for range times {
			done, err := turns.enter(t.Context(), project)
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, done)
		}
	}
	full := func(project string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := turns.enter(ctx, project)
		return errors.Is(err, context.DeadlineExceeded)
	}
	take("one", listsOfProject)
	if !full("one") {
		t.Error("one project has more than its turns")
	}
	take("two", listsAtOnce-listsOfProject)
	if !full("three") {
		t.Error("all together have more than their turns")
	}
	for _, done := range leave {
		done()
	}
	leave = nil
	take("one", listsOfProject)
	take("two", listsAtOnce-listsOfProject)
}

// TestListTurnIsForAll: who reads several lists keeps what is in the first while he reads the next, all in one turn.
func TestListTurnIsForAll(t *testing.T) {
	t.Parallel()
	filters := []imageFilter{{"name": "first"}, {"name": "second"}, {"name": "last"}}
	var lock sync.Mutex
	reading, most := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"images": []}`)
		lock.Lock()
		defer lock.Unlock()
		switch r.URL.Query().Get("name") {
		case "first":
			reading++
		case "last":
			reading--
		}
		most = max(most, reading)
	}))
	t.Cleanup(server.Close)
	cloud, err := newGlance(t, GlanceOptions{}).With(constant(tokenWith("token", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	var all errgroup.Group
	for range 10 * listsOfProject {
		all.Go(func() error {
			_, err := cloud.ownActiveOf(t.Context(), "list", filters...)
			return err
		})
	}
	if err := all.Wait(); err != nil || most < 1 || most > listsOfProject {
		t.Errorf("%d have read a list and not the last one, %v", most, err)
	}
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
	if _, err := NewGlance(GlanceOptions{CACert: "/nowhere"}); err == nil || !strings.Contains(err.Error(), "read cacert: stat /nowhere") {
		t.Errorf("error %v", err)
	}
}

// TestListsOfManyKinds: nor do several lists that end, each with fewer images than one may have.
func TestListsOfManyKinds(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		asked++
		page := &strings.Builder{}
		for i := range 2000 {
			fmt.Fprintf(page, `{"id": "%d-%d", "name": "web", "owner": %q, "status": "active", "container_format": "docker"},`, asked, i, fakecloud.ProjectID)
		}
		fmt.Fprintf(w, `{"images": [%s]}`, strings.TrimSuffix(page.String(), ","))
	}))
	t.Cleanup(server.Close)
	cloud, err := newGlance(t, GlanceOptions{}).With(constant(tokenWith("token", server.URL)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cloud.ManifestImages(t.Context())
	openstacktest.WantError(t, err, "list the project's images: ", "the project has too many images: more than 10000")
}
