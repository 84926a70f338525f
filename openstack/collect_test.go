package openstack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

var day = 24 * time.Hour

// collect runs a collector, by the fake's clock.
func collect(t *testing.T, fake *fakecloud.Cloud, cloud *Cloud) []string {
	t.Helper()
	done, err := cloud.CollectLayers(t.Context(), CollectOptions{ListReader: modelReader, Age: day, Now: fake.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, one := range done {
		texts = append(texts, string(one.Action)+" "+one.ID)
	}
	return texts
}

// addLayer makes a layer, with fields that are not the usual ones.
func addLayer(fake *fakecloud.Cloud, digest string, unusual fakecloud.Object) string {
	return fake.Add(fakecloud.Image, digest, fakecloud.Object{"os_hidden": true, "visibility": "private", "docker_layer": digest}, unusual)
}

// addArchive makes an image that needs layers.
func addArchive(fake *fakecloud.Cloud, name string, unusual fakecloud.Object, layers ...ListedLayer) string {
	archive, _ := json.Marshal(append([]ListedLayer{}, layers...))
	id := fake.Add(fakecloud.Image, name, unusual)
	fake.Fill(name, archive)
	return id
}

// TestCollectTakesTwoRuns: a layer is condemned, and a day later deleted.
func TestCollectTakesTwoRuns(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	id := addLayer(fake, layerDigest, nil)
	for _, step := range []struct {
		passes time.Duration
		want   string
	}{{day - 1*time.Second, ""}, {time.Second, "condemn " + id}, {0, ""}, {day - 1*time.Second, ""}, {time.Second, "delete " + id}, {day, ""}} {
		fake.Pass(step.passes)
		if got := strings.Join(collect(t, fake, cloud), ", "); got != step.want {
			t.Errorf("after another %s: %q, want %q", step.passes, got, step.want)
		}
	}
	wantNothingLeft(t, fake)
}

// TestCollectLeavesAlone: what is not known to be a layer that nobody needs or has changed is not touched, now or later.
func TestCollectLeavesAlone(t *testing.T) {
	t.Parallel()
	upload := "upload 11111111-1111-4111-8111-111111111111"
	for name, c := range map[string]struct {
		name  string
		image fakecloud.Object
	}{
		"another project's, shared with us":  {layerDigest, fakecloud.Object{"owner": "another", "visibility": "shared"}},
		"another project's, published":       {layerDigest, fakecloud.Object{"owner": "another", "visibility": "public"}},
		"another project's upload":           {upload, fakecloud.Object{"owner": "another", "docker_layer": "upload", "status": "queued"}},
		"another project's condemned":        {condemnedPrefix + layerDigest, fakecloud.Object{"owner": "another", "docker_layer": layerDigest}},
		"shown":                              {layerDigest, fakecloud.Object{"os_hidden": false}},
		"published":                          {layerDigest, fakecloud.Object{"visibility": "public"}},
		"shared":                             {layerDigest, fakecloud.Object{"visibility": "shared"}},
		"protected":                          {layerDigest, fakecloud.Object{"protected": true}},
		"deactivated":                        {layerDigest, fakecloud.Object{"status": "deactivated"}},
		"renamed":                            {"keep me", fakecloud.Object{"docker_layer": layerDigest}},
		"renamed to another layer":           {layerDigest, fakecloud.Object{"docker_layer": layerDigest + "0"}},
		"a hidden image of a user's":         {"web@1", fakecloud.Object{"docker_layer": nil}},
		"a user's, with the name of a layer": {layerDigest, fakecloud.Object{"docker_layer": nil}},
		"a user's, with the property":        {"web@1", fakecloud.Object{"docker_layer": "upload"}},
		"a user's, condemned":                {condemnedPrefix + "web@1", fakecloud.Object{"docker_layer": "web@1"}},
		"a user's upload":                    {upload, fakecloud.Object{"docker_layer": nil, "status": "queued"}},
		"a disk":                             {layerDigest, fakecloud.Object{"container_format": "bare"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			addLayer(fake, c.name, c.image)
			fake.Fill(c.name, []byte("null"))
			id := addLayer(fake, digestOf("another"), nil) // something to do
			before := fmt.Sprint(fake.All(fakecloud.Image)[0])
			for _, action := range []string{"condemn ", "delete "} {
				fake.Pass(5 * day)
				if got := collect(t, fake, cloud); !slices.Equal(got, []string{action + id}) {
					t.Errorf("done: %v", got)
				}
			}
			if left := fake.All(fakecloud.Image); len(left) != 1 || fmt.Sprint(left[0]) != before {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestCollectKeepsWhatIsNeeded: by an image of any visibility, shown or not, and by name or id.
func TestCollectKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		archive fakecloud.Object
		layer   fakecloud.Object
		needs   ListedLayer
		goes    bool
	}{
		"shown":                       {needs: ListedLayer{Digest: layerDigest, Image: "another"}},
		"hidden":                      {archive: fakecloud.Object{"os_hidden": true}, needs: ListedLayer{Digest: layerDigest, Image: "another"}},
		"community's":                 {archive: fakecloud.Object{"visibility": "community"}, needs: ListedLayer{Digest: layerDigest}},
		"by its id":                   {needs: ListedLayer{Digest: digestOf("another"), Image: "10000000-0000-4000-8000-000000000001"}},
		"listed, and in the archive":  {needs: ListedLayer{Digest: layerDigest}},
		"condemned, by its digest":    {layer: fakecloud.Object{"name": condemnedPrefix + layerDigest}, needs: ListedLayer{Digest: layerDigest, Image: "another"}},
		"condemned, by its id":        {layer: fakecloud.Object{"name": condemnedPrefix + layerDigest}, needs: ListedLayer{Digest: digestOf("another"), Image: "10000000-0000-4000-8000-000000000001"}},
		"by a push that is under way": {archive: fakecloud.Object{"status": "saving"}, needs: ListedLayer{Digest: layerDigest}, goes: true}, // it looks again
		"by another project's image":  {archive: fakecloud.Object{"owner": "another", "visibility": "public"}, needs: ListedLayer{Digest: layerDigest}, goes: true},
		"by no image":                 {needs: ListedLayer{Digest: digestOf("another")}, goes: true},
		"without bytes":               {layer: fakecloud.Object{"status": "queued"}, needs: ListedLayer{Digest: layerDigest}, goes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			id := addLayer(fake, layerDigest, c.layer)
			addArchive(fake, "web", c.archive, c.needs)
			fake.Pass(5 * day)
			got := collect(t, fake, cloud)
			if c.goes != slices.Equal(got, []string{"condemn " + id}) || !c.goes && got != nil {
				t.Errorf("done: %v", got)
			}
		})
	}
}

// TestCollectTwins: of layers with one digest those stay that images hint at, and one in any case.
func TestCollectTwins(t *testing.T) {
	t.Parallel()
	const first, second = "10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"
	for name, c := range map[string]struct {
		first, second string // names
		hints         []string
		want          string
	}{
		"no hint":                    {layerDigest, layerDigest, []string{""}, "condemn " + second},
		"a hint at the second":       {layerDigest, layerDigest, []string{second}, "condemn " + first},
		"hints at both":              {layerDigest, layerDigest, []string{second, first}, ""},
		"one condemned":              {condemnedPrefix + layerDigest, layerDigest, []string{""}, "delete " + first},
		"one condemned, and hinted":  {condemnedPrefix + layerDigest, layerDigest, []string{first}, "delete " + first},
		"both condemned":             {condemnedPrefix + layerDigest, condemnedPrefix + layerDigest, []string{first}, ""},
		"both condemned, no image":   {condemnedPrefix + layerDigest, condemnedPrefix + layerDigest, nil, "delete " + first + ", delete " + second},
		"no image":                   {layerDigest, layerDigest, nil, "condemn " + first + ", condemn " + second},
		"one that only looks whole":  {condemnedPrefix + layerDigest, "sha256:1", []string{first}, ""},
		"one condemned, no image":    {condemnedPrefix + layerDigest, layerDigest, nil, "delete " + first + ", condemn " + second},
		"another's digest condemned": {condemnedPrefix + digestOf("another"), layerDigest, []string{""}, "delete " + first},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			for _, name := range []string{c.first, c.second} {
				addLayer(fake, name, fakecloud.Object{"docker_layer": strings.TrimPrefix(name, condemnedPrefix)})
				fake.Fill(name, []byte("null"))
			}
			for n, hint := range c.hints {
				addArchive(fake, fmt.Sprint("web", n), nil, ListedLayer{Digest: layerDigest, Image: hint})
			}
			fake.Pass(5 * day)
			if got := strings.Join(collect(t, fake, cloud), ", "); got != c.want {
				t.Errorf("done: %q, want %q", got, c.want)
			}
		})
	}
}

// TestCollectUploads: one that was never ended is condemned, and then its push cannot go on; one that goes on is not.
func TestCollectUploads(t *testing.T) {
	t.Parallel()
	name := "upload 11111111-1111-4111-8111-111111111111"
	for _, status := range []string{"queued", "saving", "active"} {
		fake, cloud := newFake(t)
		id := addLayer(fake, name, fakecloud.Object{"docker_layer": "upload", "status": status})
		fake.Pass(day)
		if got := collect(t, fake, cloud); !slices.Equal(got, []string{"condemn " + id}) {
			t.Fatalf("%s: done: %v", status, got)
		}
		if err := nameLayer(t, cloud, id); !gophercloud.ResponseCodeIs(err, http.StatusConflict) {
			t.Errorf("%s: the push goes on: %v", status, err)
		}
		fake.Pass(day)
		if got := collect(t, fake, cloud); !slices.Equal(got, []string{"delete " + id}) {
			t.Errorf("%s: done: %v", status, got)
		}
	}
	fake, cloud := newFake(t)
	id := addLayer(fake, name, fakecloud.Object{"docker_layer": "upload"})
	seen, err := cloud.projectImages(t.Context())
	if err != nil || len(seen.layers) != 1 {
		t.Fatal(seen, err)
	}
	if err := nameLayer(t, cloud, id); err != nil {
		t.Fatal(err)
	}
	if done, err := cloud.collect(t.Context(), []Collected{{seen.layers[0], CollectCondemn}}); err != nil || len(done) != 0 || fake.All(fakecloud.Image)[0]["name"] != layerDigest {
		t.Errorf("a layer that has got its name meanwhile: %v, %v, %v", done, err, fake.All(fakecloud.Image))
	}
}

func nameLayer(t *testing.T, cloud *Cloud, id string) error {
	t.Helper()
	client, err := cloud.glance()
	if err != nil {
		t.Fatal(err)
	}
	return rename(t.Context(), client, id, layerDigest)
}

// TestCollectEndsWhereItCannotRead: which layers an image needs that cannot be read, nobody knows.
func TestCollectEndsWhereItCannotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		archive fakecloud.Object
		bytes   string
		fault   fakecloud.Fault
		says    string
		hint    string
	}{
		"no list that can be read": {bytes: "{", says: `read which layers image "web" (10000000-0000-4000-8000-000000000002) needs: `, hint: "nothing was removed"},
		"the storage is away":      {bytes: "[]", fault: fakecloud.DataMissing, says: "No image data could be found", hint: "nothing was removed"},
		"it breaks off":            {bytes: "[]" + strings.Repeat(" ", 5000), fault: fakecloud.DownloadBreaks, says: `read which layers image "web"`, hint: "nothing was removed"},
		"deactivated":              {archive: fakecloud.Object{"status": "deactivated"}, bytes: "{", says: `image "web"`, hint: "'openstack image set --activate 10000000-0000-4000-8000-000000000002'"},
		"a status of the future":   {archive: fakecloud.Object{"status": "archived"}, bytes: "{", says: `image "web"`, hint: "nothing was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			addLayer(fake, condemnedPrefix+layerDigest, fakecloud.Object{"docker_layer": layerDigest})
			fake.Add(fakecloud.Image, "web", c.archive)
			fake.Fill("web", []byte(c.bytes))
			fake.Pass(5 * day)
			if c.fault != "" {
				breaks(t, fake, c.fault)
			}
			reader := ListReader{Read: func(archive io.Reader) ([]ListedLayer, error) {
				content, err := io.ReadAll(archive)
				if err != nil {
					return nil, err
				}
				return modelReader.Read(bytes.NewReader(content))
			}}
			done, err := cloud.CollectLayers(t.Context(), CollectOptions{ListReader: reader, Age: day, Now: fake.Now()})
			openstacktest.WantError(t, err, c.says)
			openstacktest.WantHint(t, err, c.hint)
			if len(done) != 0 || len(fake.All(fakecloud.Image)) != 2 {
				t.Errorf("done: %v", done)
			}
		})
	}
}

// TestCollectWithoutProject: a token for none would list what others have.
func TestCollectWithoutProject(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"token": {}, "images": []}`)
	}))
	t.Cleanup(server.Close)
	cloud, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL, "OS_USERNAME": "u", "OS_PASSWORD": "x", "OS_IMAGE_ENDPOINT_OVERRIDE": server.URL + "/image"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cloud.CollectLayers(t.Context(), CollectOptions{ListReader: modelReader})
	openstacktest.WantError(t, err, "the token is for no project")
	_, err = cloud.Layers(t.Context(), []string{layerDigest}) // a push would send layers that it never finds again
	openstacktest.WantError(t, err, "the token is for no project")
}

// TestCollectReadsOnlyIfItMust: a project without old layers is not read.
func TestCollectReadsOnlyIfItMust(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	addArchive(fake, "web", nil)
	addLayer(fake, layerDigest, nil)
	reader := ListReader{Read: func(io.Reader) ([]ListedLayer, error) { return nil, errors.New("it is read") }}
	if _, err := cloud.CollectLayers(t.Context(), CollectOptions{ListReader: reader, Age: day, Now: fake.Now()}); err != nil {
		t.Error(err)
	}
}

// TestCollectReadsNoLayers: a layer is its maker's, and may begin as an archive that cannot be read, or needs others.
func TestCollectReadsNoLayers(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for _, unusual := range []fakecloud.Object{nil, {"os_hidden": false}, {"visibility": "public"}, {"name": condemnedPrefix + layerDigest}} {
		addLayer(fake, layerDigest, unusual)
	}
	for _, image := range fake.All(fakecloud.Image) {
		fake.Fill(image["name"].(string), []byte("{"))
	}
	fake.Pass(5 * day)
	if got := collect(t, fake, cloud); len(got) != 2 {
		t.Errorf("done: %v", got)
	}
}

// TestCheckLayers: what a boot would not find is lacking, wherever it is shown, and nothing else.
func TestCheckLayers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		layer fakecloud.Object
		hint  string
		whole bool
	}{
		"there":                    {hint: "gone", whole: true},
		"condemned":                {layer: fakecloud.Object{"name": condemnedPrefix + layerDigest}, hint: "gone", whole: true},
		"renamed, and hinted at":   {layer: fakecloud.Object{"name": "other"}, hint: "10000000-0000-4000-8000-000000000001", whole: true},
		"shown, and hinted at":     {layer: fakecloud.Object{"os_hidden": false}, hint: "10000000-0000-4000-8000-000000000001", whole: true},
		"in the archive":           {layer: fakecloud.Object{"name": "other"}, whole: true},
		"shown, and no hint at it": {layer: fakecloud.Object{"os_hidden": false}, hint: "gone"},
		"without bytes":            {layer: fakecloud.Object{"status": "queued"}, hint: "10000000-0000-4000-8000-000000000001"},
		"another project's":        {layer: fakecloud.Object{"owner": "another"}, hint: "10000000-0000-4000-8000-000000000001"},
		"gone":                     {layer: fakecloud.Object{"name": "other"}, hint: "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			addLayer(fake, layerDigest, c.layer)
			fake.Fill("other", []byte("null"))
			addArchive(fake, "web", fakecloud.Object{"os_hidden": true}, ListedLayer{Digest: digestOf("small")}, ListedLayer{Digest: layerDigest, Number: 2, Image: c.hint})
			lacking, err := cloud.CheckLayers(t.Context(), modelReader)
			if err != nil {
				t.Fatal(err)
			}
			if c.whole != (len(lacking) == 0) || !c.whole && (len(lacking) != 1 || lacking[0].Name != "web" || lacking[0].Layer.Number != 2) {
				t.Errorf("it lacks %v", lacking)
			}
		})
	}
}

// TestLayerUses: each layer once, and each other image once.
func TestLayerUses(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	one, two := ListedLayer{Digest: digestOf("one"), Image: "1"}, ListedLayer{Digest: digestOf("two"), Image: "2"}
	inside := ListedLayer{Digest: digestOf("small")}
	addArchive(fake, "web", nil, one, inside, two, one)
	addArchive(fake, "other", nil, one, one, inside)
	addArchive(fake, "hidden", fakecloud.Object{"os_hidden": true}, one)
	image, err := cloud.Image(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	uses, err := cloud.LayerUses(t.Context(), image, modelReader)
	if want := []LayerUse{{one, 2}, {two, 0}}; err != nil || !slices.Equal(uses, want) {
		t.Errorf("got %v, %v, want %v", uses, err, want)
	}
	image.Owner = "another"
	_, err = cloud.LayerUses(t.Context(), image, modelReader)
	openstacktest.WantError(t, err, "it belongs to another project")
}

// TestCollectWhilePagesChange: Glance refuses the page behind an image that was deleted meanwhile.
func TestCollectWhilePagesChange(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for n := range 5 {
		addLayer(fake, digestOf(fmt.Sprint(n)), nil)
	}
	fake.Pass(day)
	deleted := false
	cloud.provider.HTTPClient.Transport = openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("marker") != "" && !deleted {
			deleted = true
			fake.Remove(fakecloud.Image, digestOf("1"))
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	if got := collect(t, fake, cloud); !deleted || len(got) != 4 {
		t.Errorf("done: %v", got)
	}
}

// TestCollectIsInterrupted: then nothing more is done, and what was is told.
func TestCollectIsInterrupted(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	var plan []Collected
	for n := range 3 {
		plan = append(plan, Collected{Image{ID: addLayer(fake, digestOf(fmt.Sprint(n)), nil)}, CollectDelete})
	}
	ctx, interrupt := context.WithCancel(t.Context())
	cloud.provider.HTTPClient.Transport = openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if strings.HasSuffix(r.URL.Path, plan[0].ID) {
			interrupt()
		}
		return answer, err
	})
	done, _ := cloud.collect(ctx, plan)
	if len(done) > 1 || len(fake.All(fakecloud.Image)) != 2 {
		t.Errorf("done: %v, left: %v", done, fake.All(fakecloud.Image))
	}
}

// TestCollectGoesOn: a layer that is gone is no failure, and one that fails stops no other.
func TestCollectGoesOn(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	safe := addLayer(fake, digestOf("safe"), fakecloud.Object{"protected": true})
	last := addLayer(fake, digestOf("last"), nil)
	plan := []Collected{
		{Image{ID: "10000000-0000-4000-8000-000000000009", Name: "gone"}, CollectDelete},
		{Image{ID: safe, Name: "safe"}, CollectDelete},
		{Image{ID: last, Name: "last"}, CollectDelete},
	}
	done, err := cloud.collect(t.Context(), plan)
	if len(done) != 1 || done[0].ID != last {
		t.Errorf("done: %v", done)
	}
	openstacktest.WantError(t, err, `delete layer "safe" (`+safe+"): Image "+safe+" is protected")
}

var leavesOut = fakecloud.Object{"trait:CUSTOM_NDOCK_LAYERS": "required"}

// TestCondemnLayer: a layer that nobody needs is found by no push any more, and collected later.
func TestCondemnLayer(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	one, two := addLayer(fake, layerDigest, nil), addLayer(fake, layerDigest, nil)
	addArchive(fake, "web@1", leavesOut, ListedLayer{Digest: digestOf("another"), Image: "another"})
	if err := cloud.CondemnLayer(t.Context(), layerDigest, modelReader); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{one, two} {
		if name := object(t, fake, id)["name"]; name != condemnedPrefix+layerDigest {
			t.Errorf("layer %s is named %v", id, name)
		}
	}
	var gone *Error
	if err := cloud.CondemnLayer(t.Context(), layerDigest, modelReader); !errors.As(err, &gone) || gone.Status != http.StatusNotFound {
		t.Errorf("error %v", err)
	}
	fake.Pass(day)
	if got := strings.Join(collect(t, fake, cloud), ", "); got != "delete "+one+", delete "+two {
		t.Errorf("collected %q", got)
	}
}

// TestReferences: what other layers archives list takes no memory, however much it is.
func TestReferences(t *testing.T) {
	t.Parallel()
	layer := Image{ID: "an id", Name: condemnedPrefix + layerDigest, Status: "active"}
	r := referencesTo([]Image{layer})
	for n := range 1000 {
		if err := r.see(Image{}, []ListedLayer{{Digest: digestOf(strconv.Itoa(n)), Image: strconv.Itoa(n)}}); err != nil {
			t.Fatal(err)
		}
	}
	if r.needs(layer) || len(r.digests) != 1 || len(r.hints) != 1 {
		t.Errorf("%d digests and %d ids are kept", len(r.digests), len(r.hints))
	}
	for _, listed := range []ListedLayer{{Digest: layerDigest}, {Digest: digestOf("another"), Image: "an id"}} {
		r := referencesTo([]Image{layer})
		if err := r.see(Image{}, []ListedLayer{listed}); err != nil || !r.needs(layer) {
			t.Errorf("%v is not a reference to it, %v", listed, err)
		}
	}
}

// TestCondemnLeavesAlone: what is another's, what a user has changed, and what an image needs, or may need, stays as it is.
func TestCondemnLeavesAlone(t *testing.T) {
	t.Parallel()
	needs := ListedLayer{Digest: layerDigest, Image: "a hint"}
	for name, test := range map[string]struct {
		layer   fakecloud.Object
		archive fakecloud.Object // nil for none
		status  int
		want    error
	}{
		"another project's":     {layer: fakecloud.Object{"owner": "another"}, status: http.StatusNotFound},
		"another's and public":  {layer: fakecloud.Object{"owner": "another", "visibility": "public"}, status: http.StatusNotFound},
		"no layer":              {layer: fakecloud.Object{"docker_layer": nil}, status: http.StatusNotFound},
		"shown":                 {layer: fakecloud.Object{"os_hidden": false}, status: http.StatusNotFound},
		"protected":             {layer: fakecloud.Object{"protected": true}, status: http.StatusForbidden},
		"shared":                {layer: fakecloud.Object{"visibility": "shared"}, status: http.StatusForbidden},
		"needed":                {archive: leavesOut, want: ErrNeeded},
		"needed by a hidden":    {archive: fakecloud.Object{"os_hidden": true, "trait:CUSTOM_NDOCK_LAYERS": "required"}, want: ErrNeeded},
		"needed by who can say": {archive: fakecloud.Object{"name": "damaged", "trait:CUSTOM_NDOCK_LAYERS": "required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			id := addLayer(fake, layerDigest, test.layer)
			if test.archive != nil {
				addArchive(fake, "web@1", test.archive, needs)
			}
			if test.archive["name"] == "damaged" {
				fake.Fill("damaged", []byte("no list"))
			}
			before := fmt.Sprint(object(t, fake, id))
			err := cloud.CondemnLayer(t.Context(), layerDigest, modelReader)
			var answer *Error
			if !errors.As(err, &answer) || answer.Status != test.status || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v", err)
			}
			if after := fmt.Sprint(object(t, fake, id)); after != before {
				t.Errorf("%s became %s", before, after)
			}
		})
	}
}

// TestCondemnWhilePushing: an image whose push finds the layer just before it is condemned gets it anew.
func TestCondemnWhilePushing(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	layer := sendNamed(t, cloud, "layer")
	deleting, err := logIn(t, openrc(fake, nil))
	if err != nil {
		t.Fatal(err)
	}
	var pushed ManifestImage
	deleting.provider.HTTPClient.Transport = &failing{deleting.provider.HTTPClient.Transport, func(r *http.Request) bool {
		if r.Method == http.MethodPatch && pushed.ID == "" {
			pushed = storeManifest(t, cloud, listing(manifestOf("web", "1", "one", layer), layer))
		}
		return false
	}}
	if err := deleting.CondemnLayer(t.Context(), layer.Digest, modelReader); !errors.Is(err, ErrNeeded) {
		t.Errorf("error %v", err)
	}
	there, err := cloud.Layers(t.Context(), []string{layer.Digest})
	if err != nil || there[layer.Digest].Image == "" || there[layer.Digest].Image == layer.Image || string(fake.Data(there[layer.Digest].Image)) != "layer" {
		t.Errorf("there is %+v, %v, after image %s was pushed", there, err, pushed.ID)
	}
}

// listing gives a manifest an archive that the model's reader reads.
func listing(m StoredManifest, layer StoredLayer) StoredManifest {
	content, _ := json.Marshal([]ListedLayer{{Digest: layer.Digest, Image: layer.Image}})
	m.Content = bytes.NewReader(content)
	return m
}

// TestCondemnReadsSoMuch: anybody may ask a registry for it.
func TestCondemnReadsSoMuch(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	id := addLayer(fake, layerDigest, nil)
	for range mostRead + 1 {
		fake.Add(fakecloud.Image, "web", leavesOut)
	}
	err := cloud.CondemnLayer(t.Context(), layerDigest, modelReader)
	if !errors.Is(err, ErrTooMany) || object(t, fake, id)["name"] != layerDigest {
		t.Errorf("error %v", err)
	}
}
