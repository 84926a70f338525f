package commands

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker/archive"
	"ndock/openstack"
	"ndock/openstack/fakecloud"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/glance"
)

// newProject opens the project of the fake cloud.
func newProject(t *testing.T) (*fakecloud.Cloud, glanceProject) {
	t.Helper()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	endpoint := tokens.Endpoint{Interface: "public", Region: "RegionOne", URL: strings.TrimSuffix(fake.URL, "/v3") + "/image"}
	open, err := openGlance(config.GlanceOptions{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	project, err := open(t.Context(), glance.NewLogin(keystone.Token{
		ID: fake.Token(), ProjectID: fakecloud.ProjectID, Catalog: []tokens.CatalogEntry{{Type: "image", Endpoints: []tokens.Endpoint{endpoint}}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return fake, project.(glanceProject)
}

// testLayer is a layer with one file, packed and as it is.
func testLayer(t *testing.T, content string) (packed, plain []byte) {
	t.Helper()
	var written, zipped bytes.Buffer
	w := tar.NewWriter(&written)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}), write(w, content), w.Close()); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&zipped)
	if err := errors.Join(write(z, written.String()), z.Close()); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes(), written.Bytes()
}

func write(to io.Writer, text string) error {
	_, err := io.WriteString(to, text)
	return err
}

func descriptor(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// send stores a blob as an image of its own.
func send(t *testing.T, p glance.Project, content []byte) glance.Part {
	t.Helper()
	blob, err := p.SendLayer(t.Context(), bytes.NewReader(content), func() (digest.Digest, error) { return digest.FromBytes(content), nil })
	if err != nil {
		t.Fatal(err)
	}
	return glance.Part{Descriptor: descriptor(v1.MediaTypeImageLayerGzip, content), Image: blob.Image}
}

func inside(mediaType string, content []byte) glance.Part {
	return glance.Part{Descriptor: descriptor(mediaType, content), Content: content}
}

// manifestOf is a manifest that names these parts.
func manifestOf(t *testing.T, tag string, parts ...glance.Part) glance.Manifest {
	t.Helper()
	said := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: parts[0].Descriptor}
	said.SchemaVersion = 2
	for _, part := range parts[1:] {
		said.Layers = append(said.Layers, part.Descriptor)
	}
	payload, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	return glance.Manifest{Repository: "site/web", Tag: tag, Descriptor: descriptor(v1.MediaTypeImageManifest, payload), Payload: payload, Parts: parts}
}

// imageOf is an image of an architecture, with a layer that is left out and a small one.
func imageOf(t *testing.T, p glance.Project, tag, architecture string) glance.Manifest {
	t.Helper()
	large, plainLarge := testLayer(t, "large, of "+architecture)
	small, plainSmall := testLayer(t, "small, of "+architecture)
	config := fmt.Sprintf(`{"architecture":%q,"os":"linux","rootfs":{"type":"layers","diff_ids":[%q,%q]}}`, architecture, digest.FromBytes(plainLarge), digest.FromBytes(plainSmall))
	return manifestOf(t, tag, inside(v1.MediaTypeImageConfig, []byte(config)), send(t, p, large), inside(v1.MediaTypeImageLayerGzip, small))
}

func indexOf(t *testing.T, tag string, manifests ...glance.Manifest) glance.Manifest {
	t.Helper()
	said := v1.Index{MediaType: v1.MediaTypeImageIndex}
	said.SchemaVersion = 2
	for n := range manifests {
		manifests[n].Tag = ""
		said.Manifests = append(said.Manifests, manifests[n].Descriptor)
	}
	payload, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	return glance.Manifest{Repository: "site/web", Tag: tag, Descriptor: descriptor(v1.MediaTypeImageIndex, payload), Payload: payload, Manifests: manifests}
}

// signatureOf is an artifact about a manifest, whose only blob is no layer.
func signatureOf(t *testing.T, about glance.Manifest, tag string, blob glance.Part) glance.Manifest {
	t.Helper()
	made := manifestOf(t, tag, inside("application/vnd.oci.empty.v1+json", []byte("{}")), blob)
	made.Subject = about.Descriptor.Digest
	return made
}

func storeImage(t *testing.T, p glance.Project, m glance.Manifest) glance.Image {
	t.Helper()
	stored, err := p.Store(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func stored(t *testing.T, fake *fakecloud.Cloud, id string) fakecloud.Object {
	t.Helper()
	all := fake.All(fakecloud.Image)
	at := slices.IndexFunc(all, func(image fakecloud.Object) bool { return image["id"] == id })
	if at < 0 {
		t.Fatalf("there is no image %s", id)
	}
	return all[at]
}

// readBlob reads a blob from an offset on.
func readBlob(t *testing.T, p glance.Project, blob glance.Blob, offset int64) []byte {
	t.Helper()
	from, err := p.Open(t.Context(), blob, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	content, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestGlanceProject: what is pushed is found, by its tag and its digest, and read as it was sent.
func TestGlanceProject(t *testing.T) {
	t.Parallel()
	fake, p := newProject(t)
	m := imageOf(t, p, "1", "amd64")
	image := storeImage(t, p, m)
	got := stored(t, fake, image.ID)
	for property, want := range map[string]any{
		"name": "site/web@1", "os_hidden": false, "architecture": "x86_64", "docker_image_id": string(m.Parts[0].Descriptor.Digest), "docker_layers": "2",
		"trait:CUSTOM_NDOCK_LAYERS": "required", "min_disk": 1.0, "docker_stored_size": fmt.Sprint(m.Parts[1].Descriptor.Size + m.Parts[2].Descriptor.Size),
	} {
		if got[property] != want {
			t.Errorf("property %s is %v, want %v", property, got[property], want)
		}
	}
	for name, find := range map[string]func() (glance.Image, error){
		"by its tag":    func() (glance.Image, error) { return p.Tagged(t.Context(), "site/web", "1") },
		"by its digest": func() (glance.Image, error) { return p.WithDigest(t.Context(), "site/web", m.Descriptor.Digest) },
	} {
		if found, err := find(); err != nil || found != image || found.Digest != m.Descriptor.Digest {
			t.Errorf("%s: %+v, %v, want %+v", name, found, err, image)
		}
	}
	blobs, err := p.Contents(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(t.Context(), []digest.Digest{m.Parts[1].Descriptor.Digest, m.Parts[2].Descriptor.Digest})
	if err != nil || len(layers) != 1 {
		t.Errorf("layers: %v, %v", layers, err)
	}
	for _, blob := range append(blobs, layers[m.Parts[1].Descriptor.Digest]) {
		content := readBlob(t, p, blob, 0)
		if digest.FromBytes(content) != blob.Digest || !bytes.Equal(readBlob(t, p, blob, 7), content[7:]) || len(readBlob(t, p, blob, blob.Size)) != 0 {
			t.Errorf("blob %+v has %d other bytes", blob, len(content))
		}
	}
	if !slices.ContainsFunc(blobs, func(blob glance.Blob) bool { return blob.Digest == m.Descriptor.Digest }) || len(blobs) != 3 {
		t.Errorf("inside: %+v", blobs)
	}
}

// TestGlanceLayers: of a layer it is known what it unpacks to, and what is none is stored all the same. So is what would take much
// memory to unpack.
func TestGlanceLayers(t *testing.T) {
	t.Parallel()
	packed, plain := testLayer(t, strings.Repeat("content", 1000))
	var large bytes.Buffer
	z, err := zstd.NewWriter(&large, zstd.WithWindowSize(16<<20))
	if err := errors.Join(err, write(z, string(plain)), z.Flush(), z.Close()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content []byte
		diffID  digest.Digest
	}{
		"packed": {packed, digest.FromBytes(plain)}, "plain": {plain, digest.FromBytes(plain)}, "no layer": {[]byte("a signature, or so"), ""},
		"half a layer": {packed[:len(packed)/2], ""}, "of a kind": {[]byte("\x1f\x8b and no gzip"), ""},
		"zstd with a large window": {large.Bytes(), ""},
	} {
		fake, p := newProject(t)
		part := send(t, p, test.content)
		image := stored(t, fake, part.Image)
		if image["docker_layer_diff_id"] != string(test.diffID) || image["name"] != string(part.Descriptor.Digest) || !bytes.Equal(fake.Data(part.Image), test.content) {
			t.Errorf("%s: stored as %v", name, image)
		}
		if (image["docker_unpacked_size"] == "0") != (test.diffID == "") {
			t.Errorf("%s: it unpacks to %v bytes", name, image["docker_unpacked_size"])
		}
	}
}

// TestGlanceKinds: indexes and artifacts, and that what they leave out is not collected.
func TestGlanceKinds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make         func(t *testing.T, p glance.Project) glance.Manifest
		shown        bool
		architecture any
	}{
		"several platforms": {func(t *testing.T, p glance.Project) glance.Manifest {
			return indexOf(t, "1", imageOf(t, p, "", "amd64"), imageOf(t, p, "", "arm64"))
		}, true, nil},
		"one platform and an attestation": {func(t *testing.T, p glance.Project) glance.Manifest {
			image := imageOf(t, p, "", "arm64")
			about := manifestOf(t, "", inside(v1.MediaTypeImageConfig, []byte(`{"architecture":"unknown","os":"unknown"}`)), inside("application/vnd.in-toto+json", []byte(`{}`)))
			about.Descriptor.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
			return indexOf(t, "1", image, about)
		}, true, "aarch64"},
		"a signature": {func(t *testing.T, p glance.Project) glance.Manifest {
			return signatureOf(t, imageOf(t, p, "", "amd64"), "1", send(t, p, []byte("a large signature")))
		}, false, nil},
		"an index of signatures": {func(t *testing.T, p glance.Project) glance.Manifest {
			return indexOf(t, "1", signatureOf(t, imageOf(t, p, "", "amd64"), "", send(t, p, []byte("a large signature"))))
		}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, p := newProject(t)
			m := test.make(t, p)
			image := storeImage(t, p, m)
			if got := stored(t, fake, image.ID); got["os_hidden"] == test.shown || got["name"] != "site/web@1" || got["architecture"] != test.architecture {
				t.Errorf("stored as %v", got)
			}
			blobs, err := p.Contents(t.Context(), image)
			if err != nil || !slices.ContainsFunc(blobs, func(blob glance.Blob) bool { return blob.Digest == m.Descriptor.Digest }) {
				t.Errorf("inside: %v, %v", blobs, err)
			}
			for _, child := range m.Manifests {
				if !slices.ContainsFunc(blobs, func(blob glance.Blob) bool { return blob.Digest == child.Descriptor.Digest }) {
					t.Errorf("%s is not inside", child.Descriptor.Digest)
				}
			}
			needed := leftOut(m)
			collected, err := p.cloud.CollectLayers(t.Context(), openstack.CollectOptions{ListReader: openstack.ListReader{Read: readList}, Now: fake.Now().Add(time.Hour)})
			if err != nil || len(needed) == 0 {
				t.Error(needed, err)
			}
			for _, one := range collected {
				if slices.Contains(needed, one.Name) {
					t.Errorf("%s %s", one.Action, one.Name)
				}
			}
			lacking, err := p.cloud.CheckLayers(t.Context(), openstack.ListReader{Read: readList})
			if err != nil || len(lacking) != 0 {
				t.Errorf("lacking: %v, %v", lacking, err)
			}
		})
	}
}

// TestGlanceReferrers: what is about a manifest is found by that, in its repository.
func TestGlanceReferrers(t *testing.T) {
	t.Parallel()
	fake, p := newProject(t)
	m := imageOf(t, p, "1", "amd64")
	storeImage(t, p, m)
	blob := inside("application/x", []byte("a signature"))
	first, second := storeImage(t, p, signatureOf(t, m, "", blob)), storeImage(t, p, signatureOf(t, m, "sig", blob))
	other := signatureOf(t, m, "", blob)
	other.Repository = "site/other"
	storeImage(t, p, other)
	fake.Add(fakecloud.Image, "site/web@foreign", fakecloud.Object{
		"owner": "another", "docker_subject": string(m.Descriptor.Digest), "docker_manifest_type": "x", "docker_image_digest": string(other.Descriptor.Digest),
	})
	if found, err := p.Referrers(t.Context(), "site/web", m.Descriptor.Digest); err != nil || !slices.Equal(found, []glance.Image{second, first}) {
		t.Errorf("found %+v, %v, want %+v", found, err, []glance.Image{second, first})
	}
	if found, err := p.Referrers(t.Context(), "site/web", digest.FromString("nothing")); err != nil || len(found) != 0 {
		t.Errorf("about nothing: %+v, %v", found, err)
	}
}

// TestGlanceForeignBytes: an image that is not what its properties say harms no other.
func TestGlanceForeignBytes(t *testing.T) {
	t.Parallel()
	fake, p := newProject(t)
	image := storeImage(t, p, imageOf(t, p, "1", "amd64"))
	wanted := digest.FromString("another manifest")
	fake.Change(fakecloud.Image, image.ID, fakecloud.Object{"docker_image_digest": string(wanted)})
	liar, err := p.WithDigest(t.Context(), "site/web", wanted)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := p.Contents(t.Context(), liar)
	if err != nil || slices.ContainsFunc(blobs, func(blob glance.Blob) bool { return blob.Digest == wanted }) {
		t.Errorf("inside: %v, %v", blobs, err)
	}
	for _, content := range []string{"", "no tar", strings.Repeat("\x00", 4096), strings.Repeat("x", 4096)} {
		fake.Fill("site/web@1", []byte(content))
		var refused *glance.Refused // which would end the request for another image
		if blobs, err := p.Contents(t.Context(), liar); len(blobs) != 0 || errors.As(err, &refused) {
			t.Errorf("in %.10q: %v, %v", content, blobs, err)
		}
	}
}

// TestGlanceBlobsGone: layers that are not there at the beginning, or at the end.
func TestGlanceBlobsGone(t *testing.T) {
	t.Parallel()
	fake, p := newProject(t)
	m := imageOf(t, p, "1", "amd64")
	fake.Change(fakecloud.Image, m.Parts[1].Image, fakecloud.Object{"owner": "another"})
	if _, err := p.Store(t.Context(), m); !errors.Is(err, glance.ErrBlobsGone) {
		t.Errorf("error %v", err)
	}
	if left := fake.All(fakecloud.Image); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if err := glanceError(fmt.Errorf("push: %w", openstack.ErrLayersGone)); !errors.Is(err, glance.ErrBlobsGone) {
		t.Errorf("error %v", err)
	}
}

// TestGlanceRefuses: each fault is one that the registry's client can do something about, in Glance's words.
func TestGlanceRefuses(t *testing.T) {
	t.Parallel()
	for fault, want := range map[fakecloud.Fault]struct {
		kind  glance.RefusedKind
		words string
	}{
		fakecloud.TokensExpired:     {glance.LoginExpired, "requires authentication"},
		fakecloud.UploadTooLarge:    {glance.Denied, "Image exceeds the storage quota: 0 bytes remaining."},
		fakecloud.UploadUnavailable: {glance.Unavailable, "Permission to write image storage media denied."},
		fakecloud.UploadFails:       {glance.Unavailable, "The server has either erred"},
		fakecloud.GlanceAway:        {glance.Unavailable, "No server is available"},
	} {
		fake, p := newProject(t)
		m := imageOf(t, p, "1", "amd64")
		if err := fake.Break(fault); err != nil {
			t.Fatal(err)
		}
		_, sent := p.SendLayer(t.Context(), strings.NewReader("a layer"), func() (digest.Digest, error) { return digest.FromString("a layer"), nil })
		_, pushed := p.Store(t.Context(), m)
		for _, err := range []error{sent, pushed} {
			var refused *glance.Refused
			if !errors.As(err, &refused) || refused.Kind != want.kind || !strings.Contains(refused.Error(), want.words) || !strings.Contains(refused.Error(), "(req-") {
				t.Errorf("%s: error %v", fault, err)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), "token-") {
				t.Errorf("%s: the error has the token: %+v", fault, err)
			}
		}
	}
}

func TestGlanceAway(t *testing.T) {
	t.Parallel()
	fake, p := newProject(t)
	image := storeImage(t, p, imageOf(t, p, "1", "amd64"))
	fake.Change(fakecloud.Image, image.ID, fakecloud.Object{"protected": true})
	var refused *glance.Refused
	if err := p.Delete(t.Context(), image); !errors.As(err, &refused) || refused.Kind != glance.Denied || !strings.Contains(err.Error(), "is protected and cannot be deleted") {
		t.Errorf("error %v", err)
	}
	if _, err := p.Open(t.Context(), glance.Blob{Image: "10000000-0000-4000-8000-999999999999", Size: 1}, 0); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Tagged(t.Context(), "site/web", "2"); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := p.Images(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	fake.Close()
	if _, err := p.Images(t.Context(), ""); !errors.As(err, &refused) || refused.Kind != glance.Unavailable {
		t.Errorf("error %v", err)
	}
}

// TestGlanceTags: a tag goes to the next image, can be taken away, and goes with its image.
func TestGlanceTags(t *testing.T) {
	t.Parallel()
	_, p := newProject(t)
	first, second := storeImage(t, p, imageOf(t, p, "1", "amd64")), storeImage(t, p, imageOf(t, p, "1", "arm64"))
	images, err := p.Images(t.Context(), "site/web")
	if err != nil || len(images) != 2 || images[0] != second || images[1].ID != first.ID || images[1].Tag != "" {
		t.Errorf("images: %+v, %v", images, err)
	}
	if images, err := p.Images(t.Context(), "site"); err != nil || len(images) != 0 {
		t.Errorf("of another repository: %+v, %v", images, err)
	}
	if err := p.Untag(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Tagged(t.Context(), "site/web", "1"); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if found, err := p.WithDigest(t.Context(), "site/web", second.Digest); err != nil || found.ID != second.ID {
		t.Errorf("found %+v, %v", found, err)
	}
	if err := errors.Join(p.Delete(t.Context(), first), p.Delete(t.Context(), second)); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), first); !errors.Is(err, glance.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// TestInspectedReader: who inspects gets no more than was read, and holds nobody up.
func TestInspectedReader(t *testing.T) {
	t.Parallel()
	packed, _ := testLayer(t, "content")
	broken := errors.New("the client has gone")
	r := inspectWhileRead(t.Context(), io.MultiReader(bytes.NewReader(packed), failingReader{broken}))
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if found := r.end(); found != (archive.InspectedLayer{}) {
		t.Errorf("found %+v", found)
	}
	r = inspectWhileRead(t.Context(), bytes.NewReader(packed))
	if found := r.end(); found != (archive.InspectedLayer{}) {
		t.Errorf("found %+v in nothing", found)
	}
}

// TestInspectedReaderUnpacksNoMore: when an upload ends, nobody goes on to unpack it; what is read is passed on all the same.
func TestInspectedReaderUnpacksNoMore(t *testing.T) {
	t.Parallel()
	packed, _ := testLayer(t, string(make([]byte, 16<<20)))
	gone, leave := context.WithCancel(t.Context())
	leave()
	r := inspectWhileRead(gone, bytes.NewReader(packed))
	if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(packed)) {
		t.Errorf("%d bytes of %d, %v", n, len(packed), err)
	}
	if found := r.end(); found != (archive.InspectedLayer{}) {
		t.Errorf("found %+v", found)
	}
}

// TestSmallLayersShareABudget: a manifest of small bombs is stored, and few of them are unpacked.
func TestSmallLayersShareABudget(t *testing.T) {
	t.Parallel()
	config := inside(v1.MediaTypeImageConfig, []byte("{}"))
	var bombs []glance.Part
	for n := range archive.MaxEngineLayers + 1 {
		packed, _ := testLayer(t, fmt.Sprint(n)+string(make([]byte, 1<<20)))
		bombs = append(bombs, inside(v1.MediaTypeImageLayerGzip, packed))
	}
	of := func(bombs ...glance.Part) glance.Manifest {
		return manifestOf(t, "1", append([]glance.Part{config}, bombs...)...)
	}
	chart := of(bombs[:1]...)
	chart.Payload = bytes.Replace(chart.Payload, []byte(v1.MediaTypeImageConfig), []byte("application/vnd.cncf.helm.config.v1+json"), 1)
	passed := newBundling(nil)
	passed.until = time.Now().Add(-time.Second)
	for name, c := range map[string]struct {
		manifest glance.Manifest
		by       *bundling
		want     int
	}{
		"a few":                   {of(bombs[:2]...), newBundling(nil), 2},
		"more than may be":        {of(bombs[:10]...), newBundling(nil), 3},
		"of several images":       {indexOf(t, "1", of(bombs[:2]...), of(bombs[2:4]...)), newBundling(nil), 3},
		"more than an image has":  {of(bombs...), newBundling(nil), 0},
		"of what is no image":     {chart, newBundling(nil), 0},
		"for which time is short": {of(bombs[:2]...), passed, 0},
	} {
		c.by.limits = &archive.Limits{Unpacked: 7 << 19} // three of them, and a half
		made, err := c.by.bundle(t.Context(), c.manifest)
		if got := knownLayers(made); err != nil || got != c.want {
			t.Errorf("%s: %d are known, %v, want %d", name, got, err, c.want)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := newBundling(nil).bundle(gone, of(bombs[:2]...)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, though the client has gone", err)
	}
}

// knownLayers counts the blobs that were found to be layers.
func knownLayers(of archive.Bundle) int {
	n := 0
	for _, blob := range of.Blobs {
		if blob.DiffID != "" {
			n++
		}
	}
	for _, one := range of.Manifests {
		n += knownLayers(one)
	}
	return n
}

type failingReader struct{ error }

func (e failingReader) Read([]byte) (int, error) { return 0, e.error }

// composed is an archive as 'ndock image push-glance' sends it.
type composed struct {
	io.ReadCloser
	found  openstack.DockerImage
	layers []openstack.StoredLayer
}

func (c composed) Found() openstack.DockerImage    { return c.found }
func (c composed) Layers() []openstack.StoredLayer { return c.layers }

// TestGlanceHasPushedByCommand: what 'ndock image push-glance' has pushed in layers is an image of the registry, too.
func TestGlanceHasPushedByCommand(t *testing.T) {
	t.Parallel()
	_, p := newProject(t)
	m := imageOf(t, p, "1", "amd64")
	there, err := p.cloud.Layers(t.Context(), leftOut(m))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := newBundling(there).bundle(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	images, err := bundle.Images()
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	err = archive.Compose(&written, archive.Composed{
		Manifest: m.Payload, Config: m.Parts[0].Content, Layers: images[0].Layers,
		Open: func(archive.StoredLayer) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(m.Parts[2].Content)), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := p.cloud.PushImage(t.Context(), openstack.PushOptions{Name: "site/web@1", Open: func(context.Context) (openstack.Content, error) {
		return composed{io.NopCloser(&written), bootedOf(m, images), layersOf(bundle)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	image, err := p.Tagged(t.Context(), "site/web", "1")
	if err != nil || image.ID != pushed.ID || image.Digest != m.Descriptor.Digest {
		t.Fatalf("found %+v, %v", image, err)
	}
	blobs, err := p.Contents(t.Context(), image)
	at := slices.IndexFunc(blobs, func(blob glance.Blob) bool { return blob.Digest == m.Descriptor.Digest })
	if err != nil || at < 0 || !bytes.Equal(readBlob(t, p, blobs[at], 0), m.Payload) {
		t.Errorf("inside: %v, %v", blobs, err)
	}
	next := storeImage(t, p, imageOf(t, p, "1", "arm64"))
	if image, err := p.Tagged(t.Context(), "site/web", "1"); err != nil || image != next {
		t.Errorf("found %+v, %v, want %+v", image, err, next)
	}
}

// TestGlanceCondemns: a layer goes only if no image needs it, and only one's own.
func TestGlanceCondemns(t *testing.T) {
	t.Parallel()
	fake, p := newProject(t)
	m := imageOf(t, p, "1", "amd64")
	image, layer, free, foreign := storeImage(t, p, m), m.Parts[1].Descriptor.Digest, send(t, p, []byte("free")), send(t, p, []byte("foreign"))
	fake.Change(fakecloud.Image, foreign.Image, fakecloud.Object{"owner": "another"})
	for _, test := range []struct {
		blob digest.Digest
		want error
	}{
		{layer, glance.ErrNeeded},
		{free.Descriptor.Digest, nil},
		{free.Descriptor.Digest, glance.ErrNotFound},
		{foreign.Descriptor.Digest, glance.ErrNotFound},
		{m.Descriptor.Digest, glance.ErrNotFound},
	} {
		if err := p.Condemn(t.Context(), test.blob); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.blob, err, test.want)
		}
	}
	if err := errors.Join(p.Delete(t.Context(), image), p.Condemn(t.Context(), layer)); err != nil {
		t.Error(err)
	}
	other := send(t, p, []byte("of nobody")).Descriptor.Digest
	bad := storeImage(t, p, imageOf(t, p, "2", "amd64"))
	fake.Fill("site/web@2", listNobodyReads(t))
	var refused *glance.Refused // any layer may be one of its: nothing is deleted until somebody looks
	if err := p.Condemn(t.Context(), other); !errors.As(err, &refused) || refused.Kind != glance.Denied || !strings.Contains(err.Error(), bad.ID) {
		t.Errorf("beside a damaged image: error %v", err)
	}
	if name := stored(t, fake, foreign.Image)["name"]; name != string(foreign.Descriptor.Digest) {
		t.Errorf("another project's layer is named %v", name)
	}
}

// listNobodyReads is an archive whose list of layers is none.
func listNobodyReads(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "layers.json", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
