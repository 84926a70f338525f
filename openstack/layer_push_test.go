package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

// layerUpload is that of a layer with this content, which is called layerDigest.
func layerUpload(content string) LayerUpload {
	return LayerUpload{Of: `image "web"`, Content: strings.NewReader(content), Found: func() (StoredLayer, error) {
		return StoredLayer{Digest: layerDigest, DiffID: "sha256:2", MediaType: "a type", Size: int64(len(content)), Unpacked: 1000}, nil
	}}
}

func TestSendLayer(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	sent, err := cloud.SendLayer(t.Context(), layerUpload("the layer"))
	if err != nil {
		t.Fatal(err)
	}
	image := fake.All(fakecloud.Image)[0]
	for property, want := range map[string]any{
		"name": layerDigest, "os_hidden": true, "visibility": "private", "container_format": "docker", "disk_format": "raw", "status": "active",
		"docker_layer": layerDigest, "docker_layer_diff_id": "sha256:2", "docker_layer_type": "a type", "docker_unpacked_size": "1000",
	} {
		if image[property] != want {
			t.Errorf("property %s is %v, want %v", property, image[property], want)
		}
	}
	found, err := cloud.Layers(t.Context(), []string{layerDigest, "sha256:another"})
	if err != nil || len(found) != 1 || found[layerDigest] != sent || sent.Size != int64(len("the layer")) || sent.Unpacked != 1000 || sent.Image == "" {
		t.Errorf("sent %+v, found %+v, %v", sent, found, err)
	}
	if images, err := cloud.Images(t.Context()); err != nil || len(images) != 0 {
		t.Errorf("it is listed: %v, %v", images, err)
	}
}

// TestSendLayerFails: what is not whole, or turns out to be no layer, is not kept.
func TestSendLayerFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []fakecloud.Fault{fakecloud.UploadTooLarge, fakecloud.UploadTokenEnds, fakecloud.UploadDamaged, fakecloud.UploadFails} {
		fake, cloud := newFake(t)
		breaks(t, fake, fault)
		_, err := cloud.SendLayer(t.Context(), layerUpload(strings.Repeat("the layer", 10_000)))
		openstacktest.WantError(t, err, `upload layer of image "web": `)
		wantNothingLeft(t, fake)
	}
	fake, cloud := newFake(t)
	upload, refused := layerUpload("no layer"), errors.New("it is no layer")
	upload.Found = func() (StoredLayer, error) { return StoredLayer{}, refused }
	if _, err := cloud.SendLayer(t.Context(), upload); !errors.Is(err, refused) {
		t.Errorf("error %v, want %v", err, refused)
	}
	wantNothingLeft(t, fake)
}

// TestSendLayerIsInterrupted: where Glance may have given a layer its name, another push may have found it. It is not removed.
func TestSendLayerIsInterrupted(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	ctx, interrupt := context.WithCancel(t.Context())
	upload := layerUpload("the layer")
	found := upload.Found
	upload.Found = func() (StoredLayer, error) {
		interrupt()
		return found()
	}
	if _, err := cloud.SendLayer(ctx, upload); err != nil {
		t.Errorf("error %v, and it was whole by then", err)
	}
	if left := fake.All(fakecloud.Image); len(left) != 1 || left[0]["name"] != layerDigest {
		t.Errorf("left: %v", left)
	}
}

// TestLayers: a layer is the project's own, hidden and whole.
func TestLayers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]fakecloud.Object{
		"another project's": {"owner": "another"},
		"shown":             {"os_hidden": false},
		"not whole":         {"status": "queued"},
		"about to go":       {"name": "condemned " + layerDigest},
	} {
		fake, cloud := newFake(t)
		sent, err := cloud.SendLayer(t.Context(), layerUpload("the layer"))
		if err != nil {
			t.Fatal(err)
		}
		fake.Change(fakecloud.Image, sent.Image, change)
		if found, err := cloud.Layers(t.Context(), []string{layerDigest}); err != nil || len(found) != 0 {
			t.Errorf("%s: found %v, %v", name, found, err)
		}
	}
}

// TestManyLayers: more than one query has room for.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	var names []string
	for n := range 45 {
		upload := layerUpload("the layer")
		name := fmt.Sprintf("sha256:%064d", n)
		upload.Found = func() (StoredLayer, error) { return StoredLayer{Digest: name}, nil }
		if _, err := cloud.SendLayer(t.Context(), upload); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if found, err := cloud.Layers(t.Context(), names); err != nil || len(found) != len(names) {
		t.Errorf("found %d of %d, %v", len(found), len(names), err)
	}
}

// layered is the archive of an image with a layer that is left out.
type layered struct {
	io.Reader
	layers []StoredLayer
}

func (layered) Close() error { return nil }

func (layered) Found() DockerImage {
	image := found
	image.Digest, image.Tags = layerDigest, nil // of an archive without names
	return image
}

func (l layered) Layers() []StoredLayer { return l.layers }

// afterAll calls do when everything has been read.
type afterAll struct {
	io.Reader
	do func()
}

func (a afterAll) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF {
		a.do()
	}
	return n, err
}

// pushLayered pushes an image with one layer, and calls end at the end of each upload of its archive.
func pushLayered(t *testing.T, cloud *Cloud, retries int, end func(layer StoredLayer)) (Pushed, error) {
	t.Helper()
	options := pushOptions(nil)
	options.Docker, options.Retries, options.Visibility = DockerImage{Tags: found.Tags}, retries, "private"
	options.Open = func(ctx context.Context) (Content, error) {
		layer, err := cloud.SendLayer(ctx, layerUpload("the layer"))
		return layered{afterAll{strings.NewReader("the archive"), func() { end(layer) }}, []StoredLayer{layer, {Digest: "sha256:small", Size: 5}}}, err
	}
	return cloud.PushImage(t.Context(), options)
}

func TestPushLayered(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	pushed, err := pushLayered(t, cloud, 0, func(StoredLayer) {
		if shown, err := cloud.Images(t.Context()); err != nil || len(shown) != 0 {
			t.Errorf("it is shown before it is whole: %v, %v", shown, err)
		}
		if name := fake.All(fakecloud.Image)[0]["name"]; name != "web@"+strings.Replace(layerDigest, ":", "-", 1) {
			t.Errorf("it is called %q before it is whole: prune would not take it", name)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	image := fake.All(fakecloud.Image)[0]
	for property, want := range map[string]any{
		"name": "web", "os_hidden": false, "docker_image_id": dockerID, "docker_stored_size": "14", "docker_tags": "web:1,web:latest", "trait:CUSTOM_NDOCK_LAYERS": "required", "min_disk": 2.0,
	} {
		if image[property] != want || image["id"] != pushed.ID {
			t.Errorf("property %s is %v, want %v", property, image[property], want)
		}
	}
}

// TestPushRefusedBeforeLayers: what Glance refuses anyway, it refuses before anything is sent.
func TestPushRefusedBeforeLayers(t *testing.T) {
	t.Parallel()
	type test struct {
		visibility string
		fault      fakecloud.Fault
		hint       string
	}
	for want, test := range map[string]test{
		"You are not authorized to complete publicize_image action.": {visibility: "public", hint: "an administrator may"},
		"Attribute 'trait:CUSTOM_NDOCK_LAYERS' is reserved.":         {fault: fakecloud.TraitsReserved, hint: "--whole sends images without it"},
	} {
		fake, cloud := newFake(t)
		options := pushOptions(nil)
		options.Open = func(context.Context) (Content, error) {
			t.Error("its layers were sent before")
			return nil, errors.New("it was opened")
		}
		options.Visibility = test.visibility
		if test.fault != "" {
			breaks(t, fake, test.fault)
		}
		_, err := cloud.PushImage(t.Context(), options)
		openstacktest.WantError(t, err, `create image "web": `+want+" (req-")
		openstacktest.WantHint(t, err, test.hint)
		wantNothingLeft(t, fake)
	}
}

// TestPushWithoutLayers: an image turns out to have no layers of its own. It is as if it was sent whole, and so it needs no host
// that knows layers.
func TestPushWithoutLayers(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	options := pushOptions(nil)
	options.Open = func(context.Context) (Content, error) {
		if image := fake.All(fakecloud.Image)[0]; image["os_hidden"] != true || image["name"] != "web" {
			t.Errorf("it is shown before its layers are known: %v", image)
		}
		return bytesOf{io.NopCloser(strings.NewReader("all of it"))}, nil
	}
	pushed, err := cloud.PushImage(t.Context(), options)
	if err != nil || pushed.Layered || pushed.Hidden || pushed.Name != "web" {
		t.Fatalf("pushed %+v, %v", pushed, err)
	}
	for _, property := range []string{propertyTrait, propertyStored} {
		if value, there := fake.All(fakecloud.Image)[0][property]; there {
			t.Errorf("property %s is %v", property, value)
		}
	}
}

// TestPushWithoutAllLayers: of a push that fails with its second layer, the first stays. The image does not.
func TestPushWithoutAllLayers(t *testing.T) {
	t.Parallel()
	for name, interrupted := range map[string]bool{"the source fails": false, "it is interrupted": true} {
		fake, cloud := newFake(t)
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		options, failed := pushOptions(nil), errors.New("the registry is away")
		options.Open = func(ctx context.Context) (Content, error) {
			if _, err := cloud.SendLayer(ctx, layerUpload("the layer")); err != nil {
				t.Error(err)
			}
			if interrupted {
				interrupt()
				failed = ctx.Err()
			}
			return nil, failed
		}
		if _, err := cloud.PushImage(ctx, options); !errors.Is(err, failed) {
			t.Errorf("%s: error %v, want %v", name, err, failed)
		}
		if left := fake.All(fakecloud.Image); len(left) != 1 || left[0]["name"] != layerDigest {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// TestPushWhole: an image that is there in layers is none that hosts with an older ndock can boot.
func TestPushWhole(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	if _, err := pushLayered(t, cloud, 0, func(StoredLayer) {}); err != nil {
		t.Fatal(err)
	}
	options := pushOptions(strings.NewReader("all of it"))
	options.Whole = true
	if pushed, err := cloud.PushImage(t.Context(), options); err != nil || pushed.Existed || pushed.Layered {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
}

// TestPushLayeredAgain: where its id was not known before, its layers have been looked for, and it is still recognised.
func TestPushLayeredAgain(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	first, err := pushLayered(t, cloud, 0, func(StoredLayer) {})
	if err != nil {
		t.Fatal(err)
	}
	again, err := pushLayered(t, cloud, 0, func(StoredLayer) { t.Error("its archive was sent again") })
	if err != nil || !again.Existed || again.ID != first.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	if shown, err := cloud.Images(t.Context()); err != nil || len(shown) != 1 {
		t.Errorf("shown: %v, %v, of %v", shown, err, fake.All(fakecloud.Image))
	}
}

// TestPushWhileLayersAreRemoved: an image is never left without its layers.
func TestPushWhileLayersAreRemoved(t *testing.T) {
	t.Parallel()
	for _, gone := range []int{1, 5} {
		fake, cloud := newFake(t)
		times := 0
		_, err := pushLayered(t, cloud, 1, func(layer StoredLayer) {
			if times++; times <= gone {
				fake.Change(fakecloud.Image, layer.Image, fakecloud.Object{"name": "condemned " + layerDigest})
			}
		})
		if shown, listErr := cloud.Images(t.Context()); listErr != nil || len(shown) != 1 && err == nil || len(shown) != 0 && err != nil {
			t.Errorf("%d times: %v, with %v shown, %v", gone, err, shown, listErr)
		}
		if gone == 1 && err != nil {
			t.Error(err)
		}
		if gone == 5 {
			openstacktest.WantError(t, err, `push image "web": layers of it were removed meanwhile; try again: `+layerDigest)
		}
	}
}

// TestPropertiesOfLayersAreOurs: a user cannot say that hosts with an older ndock can boot it.
func TestPropertiesOfLayersAreOurs(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	options := pushOptions(strings.NewReader("content"))
	options.Properties = map[string]string{propertyTrait: "forbidden"}
	_, err := cloud.PushImage(t.Context(), options)
	openstacktest.WantError(t, err, "property trait:CUSTOM_NDOCK_LAYERS is ndock's own to set")
}
