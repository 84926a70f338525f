package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// manifestOf is an image's manifest, whose bytes are told by a word.
func manifestOf(repository, tag, word string, layers ...StoredLayer) StoredManifest {
	return StoredManifest{
		Repository: repository, Tag: tag, Digest: digestOf(word), MediaType: imageType, Boots: true, Layers: layers,
		Docker:  DockerImage{ID: digestOf("config of " + word), Digest: digestOf(word), Architecture: "x86_64", UnpackedSize: 3 << 29, Layers: len(layers)},
		Content: strings.NewReader("archive of " + word),
	}
}

// signatureOf is a manifest about another, which servers do not boot.
func signatureOf(repository, tag, word, subject string) StoredManifest {
	m := manifestOf(repository, tag, word)
	m.Boots, m.Docker, m.Subject = false, DockerImage{}, digestOf(subject)
	return m
}

func noWarning(t *testing.T) func(error) {
	return func(err error) { t.Errorf("warning: %v", err) }
}

func storeManifest(t *testing.T, cloud *Cloud, m StoredManifest) ManifestImage {
	t.Helper()
	stored, err := cloud.StoreManifest(t.Context(), m, noWarning(t))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func sendNamed(t *testing.T, cloud *Cloud, word string) StoredLayer {
	t.Helper()
	sent, err := cloud.SendLayer(t.Context(), LayerUpload{Of: "web", Content: strings.NewReader(word), Found: func() (StoredLayer, error) {
		return StoredLayer{Digest: digestOf(word), DiffID: digestOf("plain " + word), Size: int64(len(word)), Unpacked: 1000}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// object returns what Glance has of an image.
func object(t *testing.T, fake *fakecloud.Cloud, id string) fakecloud.Object {
	t.Helper()
	for _, image := range fake.All(fakecloud.Image) {
		if image["id"] == id {
			return image
		}
	}
	t.Fatalf("there is no image %s", id)
	return nil
}

func hiddenName(repository, word string) string {
	return repository + "@" + strings.Replace(digestOf(word), ":", "-", 1)
}

func TestStoreManifest(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	layer := sendNamed(t, cloud, "layer")
	small := StoredLayer{Digest: digestOf("small"), Size: 7}
	m := manifestOf("site/web", "1", "one", layer, small, small)
	m.Content = afterAll{m.Content, func() {
		for _, image := range fake.All(fakecloud.Image) {
			if image["docker_layer"] == nil && (image["os_hidden"] != true || image["name"] != hiddenName("site/web", "one")) {
				t.Errorf("before it is whole it is %v", image)
			}
		}
	}}
	stored := storeManifest(t, cloud, m)
	image := object(t, fake, stored.ID)
	for property, want := range map[string]any{
		"name": "site/web@1", "os_hidden": false, "status": "active", "container_format": "docker", "disk_format": "raw", "min_disk": 2.0, "visibility": "shared",
		"hypervisor_type": "docker", "architecture": "x86_64", "docker_image_id": digestOf("config of one"), "docker_image_digest": digestOf("one"), "docker_layers": "3",
		"docker_unpacked_size": "1610612736", "docker_stored_size": "12", "trait:CUSTOM_NDOCK_LAYERS": "required", "docker_manifest_type": imageType,
		"docker_subject": nil, "docker_tags": nil,
	} {
		if image[property] != want {
			t.Errorf("property %s is %v, want %v", property, image[property], want)
		}
	}
	if stored.Repository != "site/web" || stored.Tag != "1" || string(fake.Data(stored.ID)) != "archive of one" {
		t.Errorf("stored %+v", stored)
	}
	found, err := cloud.Tagged(t.Context(), "site/web", "1")
	if err != nil || len(found) != 1 || found[0].ID != stored.ID || found[0].Digest != digestOf("one") {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestStoreManifestKinds: what servers boot and has a tag is shown; all else is hidden, and keeps its tag in its name.
func TestStoreManifestKinds(t *testing.T) {
	t.Parallel()
	asIndex := func(m StoredManifest) StoredManifest {
		m.MediaType, m.Docker.ID, m.Docker.Architecture = indexType, "", ""
		return m
	}
	about := strings.Replace(digestOf("one"), ":", "-", 1)
	for name, test := range map[string]struct {
		stored StoredManifest
		name   string
		hidden bool
		absent []string
	}{
		"latest":             {manifestOf("web", "latest", "one"), "web", false, []string{"docker_subject", "trait:CUSTOM_NDOCK_LAYERS", "docker_tags"}},
		"by its digest":      {manifestOf("web", "", "one"), hiddenName("web", "one"), true, nil},
		"several platforms":  {asIndex(manifestOf("web", "1", "one")), "web@1", false, []string{"architecture", "docker_image_id"}},
		"a signature":        {signatureOf("web", about+".sig", "two", "one"), "web@" + about + ".sig", true, []string{"hypervisor_type", "docker_image_id", "docker_unpacked_size", "docker_layers"}},
		"a tag like another": {signatureOf("web", about, "two", "one"), "web@" + about, true, []string{"hypervisor_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			stored := storeManifest(t, cloud, test.stored)
			image := object(t, fake, stored.ID)
			if image["name"] != test.name || image["os_hidden"] != test.hidden {
				t.Errorf("it is called %v, and hidden: %v", image["name"], image["os_hidden"])
			}
			for _, property := range test.absent {
				if value, there := image[property]; there {
					t.Errorf("it has %s=%v", property, value)
				}
			}
			all, err := cloud.ManifestImages(t.Context())
			if err != nil || len(all) != 1 || all[0].Tag != test.stored.Tag || all[0].Repository != "web" || all[0].Subject != test.stored.Subject || all[0].ManifestType != test.stored.MediaType {
				t.Errorf("listed: %+v, %v", all, err)
			}
			found, err := cloud.WithDigest(t.Context(), "web", test.stored.Digest)
			if err != nil || len(found) != 1 || found[0].ID != stored.ID {
				t.Errorf("by its digest: %+v, %v", found, err)
			}
		})
	}
}

// TestStoreManifestAgain: another image of the tag hides the one that had it, which is found by its digest still.
func TestStoreManifestAgain(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	byHand := fake.Add(fakecloud.Image, "web", fakecloud.Object{"owner": fakecloud.ProjectID, "docker_image_id": digestOf("by hand")})
	disk := fake.Add(fakecloud.Image, "web", fakecloud.Object{"owner": fakecloud.ProjectID, "container_format": "bare"})
	others := fake.Add(fakecloud.Image, "web", fakecloud.Object{"owner": "another", "docker_image_digest": digestOf("foreign"), "docker_manifest_type": imageType})
	first := storeManifest(t, cloud, manifestOf("web", "latest", "one"))
	fake.Change(fakecloud.Image, first.ID, fakecloud.Object{"protected": true})
	second := storeManifest(t, cloud, manifestOf("web", "latest", "two"))
	for id, want := range map[string]fakecloud.Object{
		byHand: {"name": hiddenName("web", "by hand"), "os_hidden": true}, first.ID: {"name": hiddenName("web", "one"), "os_hidden": true},
		second.ID: {"name": "web", "os_hidden": false}, disk: {"name": "web", "os_hidden": false}, others: {"name": "web", "os_hidden": false},
	} {
		if image := object(t, fake, id); image["name"] != want["name"] || image["os_hidden"] != want["os_hidden"] {
			t.Errorf("image %s is called %v, and hidden: %v; want %v", id, image["name"], image["os_hidden"], want)
		}
	}
	if found, err := cloud.WithDigest(t.Context(), "web", digestOf("one")); err != nil || len(found) != 1 || found[0].ID != first.ID || found[0].Tag != "" {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestSnapshotsKeepTheirNames: a push takes the tag, and prune takes none of them. One is the last choice for a tag.
func TestSnapshotsKeepTheirNames(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	snapshot := fakecloud.Object{
		"owner": fakecloud.ProjectID, "image_type": "snapshot", "docker_image_digest": digestOf("saved"), "trait:CUSTOM_NDOCK_LAYERS": "required",
	}
	whole := fakecloud.Object{"owner": fakecloud.ProjectID, "instance_uuid": "a-server", "docker_image_id": digestOf("saved whole")}
	saved := []string{fake.Add(fakecloud.Image, "web", snapshot), fake.Add(fakecloud.Image, "web", whole)}
	if found, err := cloud.Tagged(t.Context(), "web", "latest"); err != nil || len(found) != 1 || found[0].ID != saved[0] {
		t.Fatalf("before a push: %v, %v", found, err)
	}
	if err := cloud.Untag(t.Context(), "web", "latest", saved[0]); !errors.Is(err, ErrSnapshot) {
		t.Errorf("untag: %v", err)
	}
	pushed := storeManifest(t, cloud, manifestOf("web", "latest", "one"))
	saved = append(saved, fake.Add(fakecloud.Image, "web", snapshot)) // a newer one
	if found, err := cloud.Tagged(t.Context(), "web", "latest"); err != nil || len(found) != 3 || found[0].ID != pushed.ID {
		t.Errorf("after a push: %v, %v", found, err)
	}
	again := storeManifest(t, cloud, manifestOf("web", "latest", "two"))
	if err := cloud.DeleteManifest(t.Context(), "web", "latest", again.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range saved {
		if image := object(t, fake, id); image["name"] != "web" || image["os_hidden"] == true {
			t.Errorf("a snapshot is called %v, and hidden: %v", image["name"], image["os_hidden"])
		}
	}
}

// lostAnswers lets Glance make changes, and loses what it answers.
type lostAnswers struct{ next http.RoundTripper }

func (l *lostAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(r)
	if err == nil && r.Method == http.MethodPatch {
		answer.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return answer, err
}

// TestStoreManifestLosesAnswer: what Glance has done is done. The image may have its tag already, and others count on it.
func TestStoreManifestLosesAnswer(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	old := storeManifest(t, cloud, manifestOf("web", "1", "one"))
	cloud.provider.HTTPClient.Transport = &lostAnswers{next: cloud.provider.HTTPClient.Transport}
	stored, err := cloud.StoreManifest(t.Context(), manifestOf("web", "1", "two"), func(error) {}) // of what it hides, no answer comes either
	if err != nil {
		t.Fatal(err)
	}
	if image := object(t, fake, stored.ID); image["name"] != "web@1" || image["os_hidden"] != false {
		t.Errorf("it is called %v, and hidden: %v", image["name"], image["os_hidden"])
	}
	if image := object(t, fake, old.ID); image["os_hidden"] != true {
		t.Errorf("the old one is called %v, and hidden: %v", image["name"], image["os_hidden"])
	}
}

// TestWithDigest: a tagged one counts before others, and one of another repository never.
func TestWithDigest(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	tagged := storeManifest(t, cloud, manifestOf("web", "1", "one"))
	untagged := storeManifest(t, cloud, manifestOf("web", "", "one"))
	storeManifest(t, cloud, manifestOf("db", "1", "one"))
	storeManifest(t, cloud, manifestOf("web", "2", "two"))
	found, err := cloud.WithDigest(t.Context(), "web", digestOf("one"))
	if err != nil || len(found) != 2 || found[0].ID != tagged.ID || found[1].ID != untagged.ID {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestForeignImages: nothing is taken for an image of the registry because of its name.
func TestForeignImages(t *testing.T) {
	t.Parallel()
	good := fakecloud.Object{"owner": fakecloud.ProjectID, "docker_image_digest": digestOf("one"), "docker_manifest_type": imageType}
	for name, change := range map[string]fakecloud.Object{
		"another project's":    {"owner": "another"},
		"not whole":            {"status": "saving"},
		"deactivated":          {"status": "deactivated"},
		"a disk":               {"container_format": "bare"},
		"no digest":            {"docker_image_digest": ""},
		"an odd digest":        {"docker_image_digest": "sha256:../../x"},
		"a whole archive":      {"docker_manifest_type": ""},
		"in uppercase":         {"name": "Web"},
		"with control bytes":   {"name": "web\x1b[31m"},
		"a path":               {"name": "../web"},
		"two tags":             {"name": "web@1@2"},
		"no tag":               {"name": "web@"},
		"only a tag":           {"name": "@1"},
		"latest, written":      {"name": "web@latest"},
		"a colon":              {"name": "web:1"},
		"no name":              {"name": ""},
		"a layer":              {"name": digestOf("one"), "docker_layer": digestOf("one")},
		"a number for a text":  {"docker_image_digest": 1},
		"a very long tag":      {"name": "web@" + strings.Repeat("1", 129)},
		"a digest without end": {"docker_image_digest": digestOf("one") + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			fake.Add(fakecloud.Image, "web", good, change)
			all, err := cloud.ManifestImages(t.Context())
			if err != nil || len(all) != 0 {
				t.Errorf("listed: %+v, %v", all, err)
			}
			if found, err := cloud.Tagged(t.Context(), "web", "latest"); err != nil || len(found) != 0 {
				t.Errorf("tagged: %+v, %v", found, err)
			}
			if found, err := cloud.WithDigest(t.Context(), "web", digestOf("one")); err != nil || len(found) != 0 {
				t.Errorf("by its digest: %+v, %v", found, err)
			}
		})
	}
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Image, "web", good)
	if found, err := cloud.Tagged(t.Context(), "web", "latest"); err != nil || len(found) != 1 {
		t.Errorf("the good one: %+v, %v", found, err)
	}
}

// TestStoreManifestRefused: names that Glance has no room for, or that no repository has.
func TestStoreManifestRefused(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for name, m := range map[string]StoredManifest{
		"too long":       manifestOf(strings.Repeat("a", 184), "1", "one"),
		"with its tag":   manifestOf(strings.Repeat("a", 183), strings.Repeat("1", 128), "one"),
		"no repository":  manifestOf("", "1", "one"),
		"a bad name":     manifestOf("web@1", "", "one"),
		"a bad tag":      manifestOf("web", "a b", "one"),
		"another digest": {Repository: "web", Digest: "sha512:1"},
	} {
		var refused *NameError
		if _, err := cloud.StoreManifest(t.Context(), m, noWarning(t)); !errors.As(err, &refused) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	wantNothingLeft(t, fake)
}

// TestStoreManifestWithoutLayers: a layer that goes while the image is pushed, or that is another project's, ends the push.
func TestStoreManifestWithoutLayers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]fakecloud.Object{
		"condemned": {"name": "condemned " + digestOf("layer")}, "another project's": {"owner": "another"}, "without bytes": {"status": "queued"},
	} {
		fake, cloud := newFake(t)
		layer := sendNamed(t, cloud, "layer")
		m := manifestOf("web", "1", "one", layer)
		m.Content = afterAll{m.Content, func() { fake.Change(fakecloud.Image, layer.Image, change) }}
		_, err := cloud.StoreManifest(t.Context(), m, noWarning(t))
		if !errors.Is(err, ErrLayersGone) {
			t.Errorf("%s: error %v", name, err)
		}
		if left := fake.All(fakecloud.Image); len(left) != 1 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// TestUnfinishedManifest: nobody takes the image of a push under way for a manifest, be all its bytes there: the push may fail yet.
func TestUnfinishedManifest(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]StoredManifest{
		"tagged": manifestOf("web", "1", "one"), "by its digest": manifestOf("web", "", "one"), "a signature": signatureOf("web", "1", "one", "two"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, pushing := newFake(t)
			another := withToken(t, fake)
			m.Layers = []StoredLayer{sendNamed(t, pushing, "layer")}
			looked := false
			pushing.provider.HTTPClient.Transport = &failing{pushing.provider.HTTPClient.Transport, func(r *http.Request) bool {
				if r.Method != http.MethodPatch || looked {
					return false
				}
				looked = true
				found, err := another.WithDigest(t.Context(), "web", digestOf("one"))
				all, failed := another.ManifestImages(t.Context())
				if err != nil || failed != nil || len(found) != 0 || len(all) != 0 {
					t.Errorf("found %+v and %+v: %v, %v", found, all, err, failed)
				}
				return false
			}}
			stored := storeManifest(t, pushing, m)
			found, err := another.WithDigest(t.Context(), "web", digestOf("one"))
			if err != nil || len(found) != 1 || found[0].ID != stored.ID || !looked {
				t.Errorf("in the end: %+v, %v", found, err)
			}
		})
	}
}

// TestSupersededCommandPush: what 'image push-glance' has pushed has a digest by which it is found when a registry has taken its
// tag, but not before it is complete.
func TestSupersededCommandPush(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	old := fakecloud.Object{"owner": fakecloud.ProjectID, "docker_image_digest": digestOf("old"), "trait:CUSTOM_NDOCK_LAYERS": "required"}
	fake.Add(fakecloud.Image, hiddenName("web", "old"), old, fakecloud.Object{"os_hidden": true})
	if found, err := cloud.WithDigest(t.Context(), "web", digestOf("old")); err != nil || len(found) != 0 {
		t.Errorf("one under way: %+v, %v", found, err)
	}
	whole := fake.Add(fakecloud.Image, "web", old)
	storeManifest(t, cloud, manifestOf("web", "latest", "new"))
	if found, err := cloud.WithDigest(t.Context(), "web", digestOf("old")); err != nil || len(found) != 1 || found[0].ID != whole || found[0].Tag != "" {
		t.Errorf("a superseded one: %+v, %v", found, err)
	}
}

// failing refuses requests as another says, and passes the others on.
type failing struct {
	next   http.RoundTripper
	refuse func(r *http.Request) bool
}

func (f *failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.refuse(r) {
		return nil, errors.New("connection refused")
	}
	return f.next.RoundTrip(r)
}

// TestGlanceDiesWhileStoring: until the image has its tag, the other keeps it; afterwards the new one has it, though the other
// is still called so, and the next push hides both.
func TestGlanceDiesWhileStoring(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path string
		number       int // of such requests, from which on it fails
		want         string
	}{
		"before the record":      {http.MethodPost, "/images", 1, "one"},
		"while it is sent":       {http.MethodPut, "/file", 1, "one"},
		"before its layers":      {http.MethodGet, "/images?", 3, "one"},
		"before it is named":     {http.MethodPatch, "/", 1, "one"},
		"before the others":      {http.MethodGet, "/images?", 4, "two"},
		"while others are named": {http.MethodPatch, "/", 2, "two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			layer := sendNamed(t, cloud, "layer")
			storeManifest(t, cloud, manifestOf("web", "1", "one", layer))
			dying, err := logIn(t, openrc(fake, nil))
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context()) // or it is waited for that Glance comes back
			met := 0
			dying.provider.HTTPClient.Transport = &failing{dying.provider.HTTPClient.Transport, func(r *http.Request) bool {
				if r.Method == test.method && strings.Contains(r.URL.RequestURI(), test.path) {
					met++
				}
				if met == test.number {
					interrupt()
				}
				return met >= test.number && r.Method != http.MethodDelete
			}}
			var warnings []error
			_, err = dying.StoreManifest(ctx, manifestOf("web", "1", "two", layer), func(err error) { warnings = append(warnings, err) })
			if won := test.want == "two"; won != (err == nil) || won != (len(warnings) > 0) {
				t.Errorf("error %v, warnings %v", err, warnings)
			}
			found, err := cloud.Tagged(t.Context(), "web", "1")
			if err != nil || len(found) == 0 || found[0].Digest != digestOf(test.want) {
				t.Errorf("tagged: %+v, %v", found, err)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has several lines", err)
			}
			last := storeManifest(t, cloud, manifestOf("web", "1", "three", layer))
			wantTagged(t, fake, "web@1", last.ID)
		})
	}
}

// wantTagged checks that the name is this image's alone.
func wantTagged(t *testing.T, fake *fakecloud.Cloud, name, id string) {
	t.Helper()
	for _, image := range fake.All(fakecloud.Image) {
		if (image["name"] == name) != (image["id"] == id) || image["id"] == id && image["os_hidden"] != false {
			t.Errorf("image %v is called %v, and hidden: %v", image["id"], image["name"], image["os_hidden"])
		}
	}
}

// TestPushesOfOneTag: of two at once, whichever Glance's clock says, one has the tag in the end.
func TestPushesOfOneTag(t *testing.T) {
	t.Parallel()
	for _, within := range []string{"POST", "PUT", "PATCH"} {
		t.Run(within, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			slow, err := logIn(t, openrc(fake, nil))
			if err != nil {
				t.Fatal(err)
			}
			var fast ManifestImage
			slow.provider.HTTPClient.Transport = &failing{slow.provider.HTTPClient.Transport, func(r *http.Request) bool {
				if r.Method == within && fast.ID == "" {
					fast = storeManifest(t, cloud, manifestOf("web", "1", "fast"))
				}
				return false
			}}
			storeManifest(t, slow, manifestOf("web", "1", "slow"))
			wantTagged(t, fake, "web@1", fast.ID) // it began later
		})
	}
}

// TestUntag: the tag is gone, also where an older image had kept the name.
func TestUntag(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(c *Cloud, ctx context.Context, repository, tag, id string) error{"untag": (*Cloud).Untag, "delete": (*Cloud).DeleteManifest} {
		fake, cloud := newFake(t)
		older := storeManifest(t, cloud, manifestOf("web", "1", "one"))
		image := storeManifest(t, cloud, manifestOf("web", "1", "two"))
		fake.Change(fakecloud.Image, older.ID, fakecloud.Object{"name": "web@1", "os_hidden": false}) // as if its push had been killed
		if err := take(cloud, t.Context(), "web", "1", image.ID); err != nil {
			t.Fatal(err)
		}
		if found, err := cloud.Tagged(t.Context(), "web", "1"); err != nil || len(found) != 0 {
			t.Errorf("%s: tagged: %+v, %v", name, found, err)
		}
		found, err := cloud.WithDigest(t.Context(), "web", digestOf("two"))
		if err != nil || (len(found) == 0) != (name == "delete") {
			t.Errorf("%s: by its digest: %+v, %v", name, found, err)
		}
	}
}

func TestDeleteProtectedManifest(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	image := storeManifest(t, cloud, manifestOf("web", "1", "one"))
	fake.Change(fakecloud.Image, image.ID, fakecloud.Object{"protected": true})
	err := cloud.DeleteManifest(t.Context(), "web", "1", image.ID)
	openstacktest.WantError(t, err, `delete image "web@1" (`+image.ID+`): Image `+image.ID+` is protected and cannot be deleted.`)
	if !Refused(err) {
		t.Errorf("error %v is no refusal", err)
	}
	wantTagged(t, fake, "web@1", image.ID)
}

// TestOpenPart: a part is a part, whatever Glance can do, and however the connection breaks.
func TestOpenPart(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 1000)
	for name, test := range map[string]struct {
		fault fakecloud.Fault
		want  string // words of an error; none without
	}{
		"well": {}, "no parts": {fault: fakecloud.DownloadHasNoParts}, "all for a part": {fault: fakecloud.DownloadIsWhole}, "it breaks": {fault: fakecloud.DownloadBreaks},
		"another part": {fakecloud.DownloadIsOther, "Glance sends"}, "no bytes": {fakecloud.DataMissing, "No image data could be found"},
	} {
		fake, cloud := newFake(t)
		id := fake.Add(fakecloud.Image, "web")
		fake.Fill("web", []byte(content))
		if test.fault != "" {
			breaks(t, fake, test.fault)
		}
		for _, from := range []int64{0, 1234, 9999} {
			for _, size := range []int64{0, 1, 500, int64(len(content)) - from} {
				size = min(size, int64(len(content))-from)
				got, err := readPart(t, cloud, id, from, size)
				if test.want != "" && size > 0 && (from > 0 || test.fault == fakecloud.DataMissing) {
					openstacktest.WantError(t, err, test.want)
					continue
				}
				if err != nil || got != content[from:from+size] {
					t.Errorf("%s, %d bytes from %d: %d bytes, %v", name, size, from, len(got), err)
				}
			}
		}
	}
}

func readPart(t *testing.T, cloud *Cloud, id string, from, size int64) (string, error) {
	t.Helper()
	body, err := cloud.OpenPart(t.Context(), id, from, size)
	if err != nil {
		return "", err
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	return string(got), err
}

// TestPartThatIsNotThere: an image that is shorter than somebody said ends in an error, and soon.
func TestPartThatIsNotThere(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	id := fake.Add(fakecloud.Image, "web")
	fake.Fill("web", []byte("short"))
	if _, err := readPart(t, cloud, id, 100, 10); err == nil {
		t.Error("no error")
	}
	if got, err := readPart(t, cloud, id, 2, 10); err == nil {
		t.Errorf("got %q and no error", got)
	}
}

// TestPruneOfManifests: prune takes what another image has superseded, and nothing that an image may need.
func TestPruneOfManifests(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	old := storeManifest(t, cloud, manifestOf("web", "1", "one"))
	storeManifest(t, cloud, manifestOf("web", "1", "two"))
	keeps := map[string]StoredManifest{
		"about one that is shown":          signatureOf("web", "", "of two", "two"),
		"tagged":                           signatureOf("web", strings.Replace(digestOf("gone"), ":", "-", 1), "of gone by tag", "gone"),
		"may be about a part of the index": signatureOf("multi", "", "of gone in multi", "gone"),
	}
	for _, name := range slices.Sorted(maps.Keys(keeps)) {
		storeManifest(t, cloud, keeps[name])
	}
	lost := storeManifest(t, cloud, signatureOf("web", "", "of gone", "gone"))
	silent := signatureOf("multi", "", "attestation", "")
	silent.Subject = ""
	attestation := storeManifest(t, cloud, silent) // which the index has in its own bytes
	index := manifestOf("multi", "1", "index")
	index.MediaType = indexType
	storeManifest(t, cloud, index)
	now := fake.Now()
	prunable, err := cloud.Prunable(t.Context(), PruneOptions{Keep: 5, Now: now.Add(unfinished)})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, image := range prunable {
		ids = append(ids, image.ID)
	}
	slices.Sort(ids)
	if want := []string{old.ID, lost.ID, attestation.ID}; fmt.Sprint(ids) != fmt.Sprint(want) {
		t.Errorf("prunable: %v, want %v", ids, want)
	}
}

// TestManifestImagesAmongLayers: a registry lists images, and not their layers, of which there are many more than it looks at.
func TestManifestImagesAmongLayers(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for n := range mostListed + 1 {
		addLayer(fake, digestOf(fmt.Sprint("layer ", n)), fakecloud.Object{"owner": fakecloud.ProjectID})
	}
	if _, err := cloud.StoreManifest(t.Context(), manifestOf("web", "1", "one"), noWarning(t)); err != nil {
		t.Fatal(err)
	}
	found, err := cloud.ManifestImages(t.Context())
	if err != nil || len(found) != 1 {
		t.Errorf("%d images, %v", len(found), err)
	}
}
