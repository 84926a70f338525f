package openstack

import (
	"io"
	"strings"
	"testing"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

const layerDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// TestOpenLayer: a layer is the image owner's, whoever else has one of that name, and whatever the archive says of its id.
func TestOpenLayer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		image, owner string // the layer's name and its owner's project
		hidden       bool
		hint         string // empty for its id
		fails        string
	}{
		"found by its name":        {image: layerDigest, owner: fakecloud.ProjectID, hidden: true, hint: "11111111-1111-4111-8111-111111111111"},
		"found by its id":          {image: "condemned " + layerDigest, owner: fakecloud.ProjectID, hidden: true},
		"found though condemned":   {image: "condemned " + layerDigest, owner: fakecloud.ProjectID, hidden: true, hint: "11111111-1111-4111-8111-111111111111"},
		"another's, condemned":     {image: "condemned " + layerDigest, owner: "another", hidden: true, hint: "no id", fails: "it is not in Glance any more"},
		"another's, by its name":   {image: layerDigest, owner: "another", hidden: true, hint: "11111111-1111-4111-8111-111111111111", fails: "it is not in Glance any more"},
		"another's, by its id":     {image: layerDigest, owner: "another", hidden: true, fails: "it is not in Glance any more"},
		"not hidden, by its name":  {image: layerDigest, owner: fakecloud.ProjectID, hint: "no id", fails: "it is not in Glance any more"},
		"a hint that is a path":    {image: "other", owner: fakecloud.ProjectID, hint: "../../identity/v3/users", fails: "it is not in Glance any more"},
		"a hint that is a service": {image: "other", owner: fakecloud.ProjectID, hint: "http://203.0.113.1/v2/images/1", fails: "it is not in Glance any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			stored, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader("the layer")))
			if err != nil {
				t.Fatal(err)
			}
			fake.Change(fakecloud.Image, stored.ID, fakecloud.Object{"name": c.image, "owner": c.owner, "os_hidden": c.hidden})
			if c.hint == "" {
				c.hint = stored.ID
			}
			body, err := cloud.OpenLayer(t.Context(), Image{Name: "web", Owner: fakecloud.ProjectID}, StoredLayer{Digest: layerDigest, Image: c.hint}, 0)
			if c.fails != "" {
				openstacktest.WantError(t, err, "layer "+layerDigest+` of image "web"`, c.fails)
				openstacktest.WantHint(t, err, "delete the image, and push it again")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if content, err := io.ReadAll(body); err != nil || string(content) != "the layer" {
				t.Errorf("got %q, %v", content, err)
			}
		})
	}
}

// TestLayersOfOthers: a user of another project boots a public image, and cannot read its layers.
func TestLayersOfOthers(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	_, err := cloud.OpenLayer(t.Context(), Image{Name: "web", Owner: "another"}, StoredLayer{Digest: layerDigest}, 0)
	openstacktest.WantError(t, err, "it is private to project another")
	openstacktest.WantHint(t, err, "servers boot from the image all the same")
}
