package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"ndock/registry/gc/gctest"
	"ndock/registry/internal/registrytest"
)

func TestWhatIsReferredToStays(t *testing.T) {
	r := newRegistry(t)
	kept, index := registrytest.Image(t, 1000, 3), multiArch(t)
	r.push("site/web:1", kept)
	r.push("site/web:2", kept)
	r.push("site/web/nested:1", kept)
	r.pushIndex("site/all:1", index)
	for _, untagged := range []bool{false, true} {
		if freed := r.collect(Options{Untagged: untagged}); freed != (Result{}) {
			t.Errorf("freed %+v", freed)
		}
	}
	r.holds("site/web:1")
	r.holds("site/web:2")
	r.holds("site/web/nested:1")
	r.holdsIndex("site/all:1")
}

func TestDeletedManifestsAreFreed(t *testing.T) {
	r := newRegistry(t)
	kept, gone := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
	r.push("site/web:1", kept)
	r.push("site/web:2", gone)
	r.push("site/other:1", gone)
	r.delete("site/web@" + hash(t, gone))
	if freed := r.collect(Options{}); freed != (Result{Layers: 4}) { // the other repository has them still
		t.Errorf("freed %+v", freed)
	}
	r.holds("site/web:1")
	r.holds("site/other:1")
	r.delete("site/other@" + hash(t, gone))
	would := r.collect(Options{DryRun: true})
	if again := r.collect(Options{DryRun: true}); again != would || would.Blobs != 5 || would.Bytes == 0 {
		t.Errorf("a dry run would free %+v, then %+v", would, again)
	}
	before := r.size()
	if freed := r.collect(Options{}); freed != would || before-r.size() < freed.Bytes {
		t.Errorf("freed %+v, and the dry run said %+v", freed, would)
	}
	r.holds("site/web:1")
	r.push("site/web:2", gone) // all of it comes again
	r.holds("site/web:2")
}

// A tag that has moved on, or was deleted, leaves a manifest without one.
func TestUntaggedManifests(t *testing.T) {
	r := newRegistry(t)
	old, now, index := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3), multiArch(t)
	r.push("web:1", old)
	r.push("web:1", now)
	r.pushIndex("web:all", index)
	r.push("elsewhere:1", old)
	r.delete("elsewhere:1")
	if freed := r.collect(Options{}); freed != (Result{}) {
		t.Errorf("freed %+v without being told", freed)
	}
	r.holds("web@" + hash(t, old))
	if freed := r.collect(Options{Untagged: true}); freed.Manifests != 2 || freed.Layers != 8 || freed.Blobs != 5 {
		t.Errorf("freed %+v", freed)
	}
	r.holds("web:1")
	r.holdsIndex("web:all") // whose images have no tags
	r.push("web:old", old)
	r.holds("web:old")
}

// The images of an index that was deleted go with it.
func TestImagesOfADeletedIndexGo(t *testing.T) {
	r := newRegistry(t)
	r.pushIndex("web:all", multiArch(t))
	r.delete("web:all")
	r.collect(Options{Untagged: true})
	for _, file := range r.files() {
		t.Errorf("%s stays", file)
	}
}

// A repository in which nothing is left is not in the catalog any more, but those below it are.
func TestEmptyRepositoriesGo(t *testing.T) {
	r := newRegistry(t)
	kept, gone := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
	r.push("site:1", gone)
	r.push("site/web:1", kept)
	r.push("other:1", kept)
	r.push("half:1", gone)
	r.delete("site:1")
	r.delete("other@" + hash(t, kept))
	r.check(r.storage.Delete(r.Context(), RootRepositories+"/half/_manifests/revisions")) // its tag is left
	r.collect(Options{Untagged: true, DryRun: true})
	r.catalog("half", "other", "site", "site/web")
	r.collect(Options{Untagged: true, Grace: time.Hour})
	r.catalog("half", "other", "site", "site/web")
	r.collect(Options{Untagged: true})
	r.catalog("half", "site/web")
	r.holds("site/web:1")
	r.push("site:1", gone)
	r.catalog("half", "site", "site/web")
}

// What a manifest says of blobs that no repository has is not remembered: a tenant may say much.
func TestManyReferencesToNothing(t *testing.T) {
	r := newRegistry(t)
	img := registrytest.Image(t, 1000, 3)
	r.push("web:1", img)
	content := []byte(`{"config":{"digest":"` + string(digest.FromString("none")) + `"},"layers":[{"digest":"` + hash(t, img) + `"}]}`)
	d := digest.FromBytes(content)
	r.put(BlobFile(d), string(content))
	r.put(linkDir("web", manifest, d)+"/link", string(d))
	c := &collection{Options: Options{Report: r}, storage: r.storage, repositories: map[string]*repository{}, recent: map[string]bool{}}
	r.check(c.list(r.Context()))
	r.check(c.read(r.Context()))
	if got := c.references[string(d)]; !slices.Equal(got, []string{hash(t, img)}) {
		t.Errorf("remembered are %q", got)
	}
}

// Directories that nothing is in go with all above them that have nothing else, unless they are recent or have something again.
func TestEmptyDirectoriesGo(t *testing.T) {
	r := newRegistry(t)
	kept := registrytest.Image(t, 1000, 3)
	r.push("site/web:1", kept)
	before := r.directories()
	repositories := filepath.Join(r.dir, RootRepositories)
	for _, dir := range []string{"a/b/c/_uploads", "a/b/d", "site/0", "site/web/_layers/sha512", "site/web/_manifests/revisions/sha256/0", "site/web/z/_uploads"} {
		r.check(os.MkdirAll(filepath.Join(repositories, dir), 0o755))
	}
	made := r.directories()
	if r.collect(Options{Grace: time.Hour}); !slices.Equal(r.directories(), made) {
		t.Errorf("of recent ones there are %q", r.directories())
	}
	if r.collect(Options{DryRun: true}); !slices.Equal(r.directories(), made) {
		t.Errorf("a dry run leaves %q", r.directories())
	}
	r.collect(Options{})
	before = slices.DeleteFunc(before, func(dir string) bool { return strings.HasSuffix(dir, "/site/web/_uploads") }) // which is empty, too
	if !slices.Equal(r.directories(), before) {
		t.Errorf("there are %q, want %q", r.directories(), before)
	}
	r.holds("site/web:1")
	r.push("site/web:2", kept)

	r.check(os.MkdirAll(filepath.Join(repositories, "a/b"), 0o755))
	storage := &pushedTo{StorageDriver: r.storage, push: func() { r.push("a/b:2", registrytest.Image(t, 1000, 3)) }}
	r.delete("site/web@" + hash(t, kept)) // which is removed before
	_, err := Run(t.Context(), storage, Options{Untagged: true, Report: r})
	r.check(err)
	r.holds("a/b:2")
}

// directories are all that there are in the repositories, by their names in the system.
func (r *registry) directories() (all []string) {
	r.check(filepath.WalkDir(filepath.Join(r.dir, RootRepositories), func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, file)
		}
		return err
	}))
	return all
}

func (r *registry) catalog(want ...string) {
	r.Helper()
	at, err := name.NewRegistry(r.host)
	r.check(err)
	found, err := remote.Catalog(r.Context(), at, remote.WithPageSize(100))
	r.check(err)
	if !slices.Equal(found, want) {
		r.Errorf("the catalog has %q, want %q", found, want)
	}
}

// What is about an image, as a signature is, stays as long as that, and goes with it.
func TestSubjects(t *testing.T) {
	r := newRegistry(t)
	signed, other := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
	r.push("web:1", signed)
	r.push("web:2", other)
	signature := about(t, signed)
	signatureOfSignature, ofOther := about(t, signature), about(t, other)
	for _, one := range []v1.Image{signature, signatureOfSignature, ofOther} {
		r.pushUntagged("web", one)
	}
	r.pushUntagged("elsewhere", signature) // where its subject is not
	r.delete("web:2")
	if freed := r.collect(Options{Untagged: true}); freed.Manifests != 3 || freed.Blobs != 10 {
		t.Errorf("freed %+v", freed)
	}
	r.holds("web:1")
	r.holds("web@" + hash(t, signature))
	r.holds("web@" + hash(t, signatureOfSignature))
	r.delete("web:1")
	if freed := r.collect(Options{Untagged: true}); freed.Manifests != 3 || freed.Blobs != 15 {
		t.Errorf("freed %+v once the image had no tag", freed)
	}
}

// pushUntagged pushes an image as clients do that know of subjects, and no fallback for registries that do not.
func (r *registry) pushUntagged(repository string, img v1.Image) {
	r.Helper()
	r.upload(repository, img)
	raw, err := img.RawManifest()
	r.check(err)
	config, err := img.RawConfigFile()
	r.check(err)
	r.put(BlobFile(digest.FromBytes(config)), string(config))
	request, err := http.NewRequest(http.MethodPut, "http://"+r.host+"/v2/"+repository+"/manifests/"+hash(r.T, img), bytes.NewReader(raw))
	r.check(err)
	request.Header.Set("Content-Type", string(types.OCIManifestSchema1))
	answer, err := http.DefaultClient.Do(request)
	r.check(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		r.Fatal(answer.Status)
	}
}

// about is an image whose subject is another.
func about(t *testing.T, subject v1.Image) v1.Image {
	t.Helper()
	size, err := subject.Size()
	if err != nil {
		t.Fatal(err)
	}
	d, err := subject.Digest()
	if err != nil {
		t.Fatal(err)
	}
	oci := mutate.ConfigMediaType(mutate.MediaType(registrytest.Image(t, 1000, 3), types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.Subject(oci, v1.Descriptor{MediaType: types.DockerManifestSchema2, Digest: d, Size: size}).(v1.Image)
}

// Blobs come before the manifest that names them, be it that the registry had them before.
func TestWhatIsYoungStays(t *testing.T) {
	r := newRegistry(t)
	img := registrytest.Image(t, 1000, 3)
	r.push("web:1", img)
	r.delete("web@" + hash(t, img))
	if freed := r.collect(Options{Grace: time.Hour}); freed != (Result{}) {
		t.Errorf("freed what is young: %+v", freed)
	}
	r.age(2 * time.Hour)
	r.upload("again", img) // only the links are young
	freed := r.collect(Options{Grace: time.Hour})
	if freed.Blobs != 1 || freed.Layers != 4 { // the manifest
		t.Errorf("freed %+v", freed)
	}
	r.push("again:1", img)
	r.holds("again:1")
	r.age(2 * time.Hour)
	r.push("untagged:1", registrytest.Image(t, 1000, 3))
	r.delete("untagged:1")
	if freed := r.collect(Options{Grace: time.Hour, Untagged: true}); freed != (Result{}) {
		t.Errorf("freed an image whose tag, or index, may be still to come: %+v", freed)
	}
}

func TestBrokenOffUploads(t *testing.T) {
	r := newRegistry(t)
	dir := RootRepositories + "/web/_uploads/0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11"
	r.put(dir+"/startedat", "2026-01-01T00:00:00Z")
	r.put(dir+"/data", "half a layer")
	r.put(RootRepositories+"/web/_layers/sha256/"+strings.Repeat("a", 64)+"/link.0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11.tmp", "sha")
	if freed := r.collect(Options{Grace: time.Hour}); freed != (Result{}) {
		t.Errorf("freed an upload that is under way: %+v", freed)
	}
	r.age(2 * time.Hour)
	r.put(dir+"/hashstates/sha256/12", "x") // it goes on
	if freed := r.collect(Options{Grace: time.Hour}); freed.Uploads != 0 || freed.Bytes != 3 {
		t.Errorf("freed %+v, but for the half link", freed)
	}
	r.age(2 * time.Hour)
	if freed := r.collect(Options{Grace: time.Hour}); freed != (Result{Uploads: 1, Bytes: 33}) {
		t.Errorf("freed %+v", freed)
	}
}

// The storage calls blobs by sha256, whatever clients call them by.
func TestOtherDigests(t *testing.T) {
	r := newRegistry(t)
	content := []byte("a layer")
	short, long := digest.SHA256.FromBytes(content), digest.SHA512.FromBytes(content)
	manifestOf := fmt.Appendf(nil, `{"schemaVersion":2,"layers":[{"digest":%q}]}`, long)
	r.put(BlobFile(short), string(content))
	r.put(linkDir("web", layer, long)+"/link", short.String())
	r.put(linkDir("web", manifest, digest.FromBytes(manifestOf))+"/link", digest.FromBytes(manifestOf).String())
	r.put(BlobFile(digest.FromBytes(manifestOf)), string(manifestOf))
	if freed := r.collect(Options{}); freed != (Result{}) {
		t.Errorf("freed %+v", freed)
	}
}

// What cannot be understood, or is not what it was, is no reason to remove what it may have named.
func TestWhatIsNotUnderstoodEndsIt(t *testing.T) {
	for content, want := range map[string]struct {
		named digest.Digest
		says  string
	}{
		`{"layers": [`:                         {digest.FromString(`{"layers": [`), "it is not JSON"},
		`{"layers": []}`:                       {digest.FromString("what it was"), "what is stored of it has another digest"},
		"":                                     {digest.FromString("what it was"), "what is stored of it has another digest"},
		strings.Repeat(" ", largestManifest+1): {digest.FromString(strings.Repeat(" ", largestManifest+1)), "what is stored of it has another digest"},
	} {
		r := newRegistry(t)
		r.put(linkDir("web", manifest, want.named)+"/link", want.named.String())
		gone := BlobFile(digest.FromString("nobody's"))
		r.put(gone, "nobody's")
		r.put(BlobFile(want.named), content)
		_, err := Run(t.Context(), r.storage, Options{Report: r})
		if err == nil || !strings.Contains(err.Error(), "read manifest web@"+want.named.String()+": "+want.says) {
			t.Errorf("error %v, want %s", err, want.says)
		}
		if _, err := r.storage.Stat(t.Context(), gone); err != nil {
			t.Errorf("something was removed: %v", err)
		}
		r.check(r.storage.Delete(t.Context(), BlobFile(want.named)))
		if freed := r.collect(Options{}); freed.Blobs != 1 || !strings.Contains(r.said, "repository web has lost manifest "+want.named.String()) {
			t.Errorf("freed %+v, said %s", freed, r.said)
		}
	}
}

// A storage that fails has lost nothing: nobody is told to delete what it does not give, and nothing is removed.
func TestStorageThatFails(t *testing.T) {
	r := newRegistry(t)
	img := registrytest.Image(t, 1000, 3)
	r.push("web:1", img)
	r.push("web:2", registrytest.Image(t, 1000, 3))
	r.delete("web:2")
	before := len(r.files())
	for _, file := range []string{
		BlobFile(digest.Digest(hash(t, img))), RootRepositories + "/web/_manifests/tags/1/current/link", RootRepositories + "/web/_manifests", RootBlobs,
	} {
		_, err := Run(t.Context(), &ailing{StorageDriver: r.storage, at: file}, Options{Untagged: true, Report: r})
		var known *Error
		if !errors.As(err, &known) || !strings.HasPrefix(err.Error(), "the registry's storage fails: ") || !strings.HasSuffix(err.Error(), "ailing: SlowDown") {
			t.Errorf("%s: error %v", file, err)
		} else if strings.Contains(known.Hint(), "delete") || strings.Contains(r.said, "delete") {
			t.Errorf("%s: hint %s, said %s", file, known.Hint(), r.said)
		}
	}
	if after := len(r.files()); after != before {
		t.Errorf("%d files of %d are left", after, before)
	}
}

// ailing is a storage that cannot give one thing.
type ailing struct {
	driver.StorageDriver
	at string
}

func (a *ailing) fail(file string) error {
	if file != a.at {
		return nil
	}
	return driver.Error{DriverName: "ailing", Detail: errors.New("SlowDown")}
}

// Reader implements driver.StorageDriver.
func (a *ailing) Reader(ctx context.Context, file string, offset int64) (io.ReadCloser, error) {
	if err := a.fail(file); err != nil {
		return nil, err
	}
	return a.StorageDriver.Reader(ctx, file, offset)
}

// List implements driver.StorageDriver.
func (a *ailing) List(ctx context.Context, dir string) ([]string, error) {
	if err := a.fail(dir); err != nil {
		return nil, err
	}
	return a.StorageDriver.List(ctx, dir)
}

// A tag whose link is damaged keeps all images that ever had it, and the rest is collected.
func TestDamagedTag(t *testing.T) {
	for _, content := range []string{"", "sha256:", "\x00\x00", strings.Repeat("a", 5000)} {
		r := newRegistry(t)
		old, now, other := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
		r.push("web:1", old)
		r.push("web:1", now)
		r.push("web:10", other)
		r.delete("web:10")
		r.put(RootRepositories+"/web/_manifests/tags/1/current/link", content)
		if freed := r.collect(Options{Untagged: true}); freed.Manifests != 1 || freed.Blobs != 5 {
			t.Errorf("freed %+v", freed)
		}
		if !strings.Contains(r.said, "tag web:1 is damaged") || !strings.Contains(r.said, "'ndock registry delete web:1'") {
			t.Errorf("said %s", r.said)
		}
		r.holds("web@" + hash(t, old))
		r.holds("web@" + hash(t, now))
		r.delete("web:1")
		r.push("web:1", now)
		if freed := r.collect(Options{Untagged: true}); freed.Manifests != 1 || freed.Blobs != 5 {
			t.Errorf("freed %+v once the tag was mended", freed)
		}
		r.holds("web:1")
	}
}

// A cache keeps the images that, or whose tags, are young, with all that they need; nothing that is damaged ends that.
func TestCacheKeepsWhatIsYoung(t *testing.T) {
	r := newRegistry(t)
	shared, once, tagged, damaged := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
	r.push("a:1", shared)
	r.push("a:2", once)
	r.push("b:1", tagged)
	r.push("b:2", damaged)
	long := linkDir("b", layer, digest.SHA512.FromString("a layer"))
	r.put(long+"/link", "")
	r.put(BlobFile(digest.Digest(hash(t, damaged))), "")
	r.put(RootRepositories+"/b/_manifests/tags/3/current/link", "")
	r.age(2 * time.Hour)
	r.push("c:1", shared)
	r.put(RootRepositories+"/b/_manifests/tags/1/current/link", hash(t, tagged)) // as a pull does
	freed := r.collect(Options{Cache: true, Grace: time.Hour})
	if freed.Manifests != 3 || freed.Blobs != 10 { // shared stays in one repository
		t.Errorf("freed %+v", freed)
	}
	r.holds("c:1")
	r.holds("b:1")
	for _, gone := range []string{"/a/_manifests/tags/1", "/a/_manifests/tags/2", "/b/_manifests/tags/2", "/b/_manifests/tags/3"} {
		if _, err := r.storage.Stat(r.Context(), RootRepositories+gone+"/current/link"); !missing(err) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	r.age(2 * time.Hour)
	r.collect(Options{Cache: true, Grace: time.Hour})
	for _, file := range r.files() {
		t.Errorf("%s stays", file)
	}
}

// What is damaged and ends a collection comes with what mends it.
func TestDamageHasAHint(t *testing.T) {
	r := newRegistry(t)
	long := digest.SHA512.FromString("a layer")
	link := linkDir("web", layer, long) + "/link"
	r.put(link, "")
	r.wantHint("push that image to web again, or remove \"" + link + "\"")
	r.check(r.storage.Delete(r.Context(), link))
	broken := digest.FromString("what it was")
	r.put(linkDir("web", manifest, broken)+"/link", broken.String())
	r.put(BlobFile(broken), "")
	r.wantHint("push that image to web again, or 'ndock registry delete web@" + broken.String() + "' takes it away")
	r.delete("web@" + broken.String())
	r.collect(Options{})
}

func (r *registry) wantHint(want string) {
	r.Helper()
	_, err := Run(r.Context(), r.storage, Options{Report: r})
	var known *Error
	if !errors.As(err, &known) || !strings.HasPrefix(known.Hint(), want) {
		r.Errorf("error %v, want one with the hint %s", err, want)
	}
}

// Wherever it ends, what is referred to is there, and the next one does the rest.
func TestInterrupted(t *testing.T) {
	r := newRegistry(t)
	kept, index := registrytest.Image(t, 1000, 3), multiArch(t)
	r.push("web:1", kept)
	r.pushIndex("web:all", index)
	for i := range 5 {
		r.push(fmt.Sprintf("old%d:1", i), registrytest.Image(t, 1000, 3))
		r.delete(fmt.Sprintf("old%d:1", i))
	}
	for after := 1; ; after += 3 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Run(ctx, &fatigue{StorageDriver: r.storage, left: after, end: cancel}, Options{Untagged: true, Report: r})
		cancel()
		r.holds("web:1")
		r.holdsIndex("web:all")
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if freed := r.collect(Options{Untagged: true}); freed != (Result{}) {
		t.Errorf("there was more: %+v", freed)
	}
}

// fatigue ends a collection after so many removals.
type fatigue struct {
	driver.StorageDriver
	left int
	end  func()
}

func (f *fatigue) Delete(ctx context.Context, path string) error {
	if f.left--; f.left == 0 {
		f.end()
	}
	return f.StorageDriver.Delete(ctx, path)
}

// Other programs on the same storage remove directories meanwhile. What is in others is seen all the same.
func TestDirectoryIsGoneMeanwhile(t *testing.T) {
	r := newRegistry(t)
	r.push("web:1", registrytest.Image(t, 1000, 3))
	dir := RootRepositories + "/app/_uploads/0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11"
	r.put(dir+"/startedat", "2026-01-01T00:00:00Z")
	freed, err := Run(t.Context(), &gctest.Purged{StorageDriver: r.storage, Dir: dir}, Options{Report: r})
	if err != nil || freed != (Result{}) {
		t.Errorf("freed %+v, %v", freed, err)
	}
	r.holds("web:1")
}

// Another process on the same storage takes a push while this one collects: the repository was empty, and is no more.
func TestPushWhileARepositoryIsEmptied(t *testing.T) {
	r := newRegistry(t)
	gone, later := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
	r.push("site:1", gone)
	r.delete("site:1")
	storage := &pushedTo{StorageDriver: r.storage, push: func() { r.push("site:2", later) }}
	_, err := Run(t.Context(), storage, Options{Untagged: true, Report: r})
	r.check(err)
	r.holds("site:2")
}

// pushedTo is a storage to which another process pushes when something is removed from it.
type pushedTo struct {
	driver.StorageDriver
	once sync.Once
	push func()
}

// Delete implements driver.StorageDriver.
func (p *pushedTo) Delete(ctx context.Context, dir string) error {
	err := p.StorageDriver.Delete(ctx, dir)
	p.once.Do(p.push)
	return err
}

func TestNothingWasEverPushed(t *testing.T) {
	r := newRegistry(t)
	if freed := r.collect(Options{Untagged: true}); freed != (Result{}) {
		t.Errorf("freed %+v", freed)
	}
}

// registry is distribution's, on a directory, as a client sees it.
type registry struct {
	*testing.T
	dir     string
	host    string
	storage driver.StorageDriver
	said    string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	dir := t.TempDir()
	config := &configuration.Configuration{Storage: configuration.Storage{"filesystem": {"rootdirectory": dir}, "delete": {"enabled": true}}}
	config.HTTP.Secret = "secret"
	config.Catalog.MaxEntries = 100
	logrus.SetOutput(io.Discard)
	ctx, cancel := context.WithCancel(context.Background())
	app := handlers.NewApp(ctx, config)
	server := httptest.NewServer(app)
	t.Cleanup(func() { server.Close(); cancel() })
	return &registry{
		T: t, dir: dir, host: strings.TrimPrefix(server.URL, "http://"),
		storage: filesystem.New(filesystem.DriverParameters{RootDirectory: dir, MaxThreads: 100}),
	}
}

func (r *registry) Step(format string, args ...any) { r.said += fmt.Sprintf(format, args...) + "\n" }

func (r *registry) ref(reference string) name.Reference {
	r.Helper()
	parsed, err := name.ParseReference(r.host + "/" + reference)
	r.check(err)
	return parsed
}

func (r *registry) push(reference string, img v1.Image) {
	r.Helper()
	r.check(remote.Write(r.ref(reference), img))
}

func (r *registry) pushIndex(reference string, index v1.ImageIndex) {
	r.Helper()
	r.check(remote.WriteIndex(r.ref(reference), index))
}

func (r *registry) delete(reference string) {
	r.Helper()
	r.check(remote.Delete(r.ref(reference)))
}

// upload pushes an image without its manifest.
func (r *registry) upload(repository string, img v1.Image) {
	r.Helper()
	layers, err := img.Layers()
	r.check(err)
	for _, one := range layers {
		r.check(remote.WriteLayer(r.ref(repository).Context(), one))
	}
	raw, err := img.RawConfigFile()
	r.check(err)
	d := digest.FromBytes(raw)
	r.put(linkDir(repository, layer, d)+"/link", d.String())
}

// holds pulls an image and checks all of it.
func (r *registry) holds(reference string) {
	r.Helper()
	img, err := remote.Image(r.ref(reference))
	r.check(err)
	r.check(validate.Image(img))
}

func (r *registry) holdsIndex(reference string) {
	r.Helper()
	index, err := remote.Index(r.ref(reference))
	r.check(err)
	r.check(validate.Index(index))
}

func (r *registry) collect(o Options) Result {
	r.Helper()
	o.Report = r
	freed, err := Run(r.Context(), r.storage, o)
	r.check(err)
	return freed
}

func (r *registry) put(file, content string) {
	r.Helper()
	r.check(r.storage.PutContent(r.Context(), file, []byte(content)))
}

// files are all that there are, by their names in the system.
func (r *registry) files() []string {
	var all []string
	r.check(filepath.WalkDir(r.dir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, file)
		}
		return err
	}))
	return all
}

func (r *registry) age(by time.Duration) {
	r.Helper()
	then := time.Now().Add(-by)
	for _, file := range r.files() {
		r.check(os.Chtimes(file, then, then))
	}
}

func (r *registry) size() (all int64) {
	for _, file := range r.files() {
		info, err := os.Stat(file)
		r.check(err)
		all += info.Size()
	}
	return all
}

func (r *registry) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func multiArch(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(1000, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func hash(t *testing.T, img v1.Image) string {
	t.Helper()
	found, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return found.String()
}

func TestLocate(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	repositories := RootRepositories + "/"
	for file, want := range map[string]location{
		RootBlobs + "/sha256/ab/" + hex + "/data":                          {kind: blob, digest: "sha256:" + hex, dir: RootBlobs + "/sha256/ab/" + hex},
		repositories + "a/b/_layers/sha256/" + hex + "/link":               {kind: layer, repository: "a/b", digest: "sha256:" + hex, dir: repositories + "a/b/_layers/sha256/" + hex},
		repositories + "a/_manifests/revisions/sha256/" + hex + "/link":    {kind: manifest, repository: "a", digest: "sha256:" + hex, dir: repositories + "a/_manifests/revisions/sha256/" + hex},
		repositories + "a/_manifests/tags/1/current/link":                  {kind: tag, repository: "a", dir: repositories + "a/_manifests/tags/1"},
		repositories + "a/_manifests/tags/1/index/sha256/" + hex + "/link": {kind: history, repository: "a", digest: "sha256:" + hex, dir: repositories + "a/_manifests/tags/1/index/sha256/" + hex},
		repositories + "a/_uploads/1/hashstates/sha256/7":                  {kind: upload, repository: "a", dir: repositories + "a/_uploads/1"},
		RootBlobs + "/sha256/cd/" + hex + "/data":                          {},
		RootBlobs + "/sha256/ab/" + hex:                                    {},
		RootBlobs + "/sha256/ab/../data":                                   {},
		repositories + "a/_layers/sha256/" + hex[1:] + "/link":             {},
		repositories + "_layers/sha256/" + hex + "/link":                   {},
		repositories + "a/_manifests/tags/link/index/link":                 {},
		"/docker/registry/v1/blobs/sha256/ab/" + hex + "/data":             {},
	} {
		if got := locate(file); got != want {
			t.Errorf("%s is %+v, want %+v", file, got, want)
		}
	}
}

// Whatever a path is, only what is in the place of its kind goes with it.
// TestLinkOf: what counts towards a quota is layers and manifests, once each.
func TestLinkOf(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("ab", 32)
	for file, want := range map[string]string{
		"repositories/app/_layers/sha256/" + hex + "/link":                     "app",
		"repositories/web/site/app/_layers/sha256/" + hex + "/link":            "web/site/app",
		"repositories/web/app/_manifests/revisions/sha256/" + hex + "/link":    "web/app",
		"repositories/web/app/_manifests/tags/1/current/link":                  "",
		"repositories/web/app/_manifests/tags/1/index/sha256/" + hex + "/link": "",
		"repositories/web/app/_uploads/01a21647/data":                          "",
		"blobs/sha256/ab/" + hex + "/data":                                     "",
	} {
		repository, blob, is := LinkOf(root + "/" + file)
		if repository != want || is != (want != "") || is && blob.Encoded() != hex {
			t.Errorf("%s is in %q, of %q", file, repository, blob)
		}
	}
}

func FuzzLocate(f *testing.F) {
	hex := strings.Repeat("ab", 32)
	f.Add(RootBlobs + "/sha256/ab/" + hex + "/data")
	f.Add(RootRepositories + "/a/b/_layers/sha256/" + hex + "/link")
	f.Add(RootRepositories + "/a/_manifests/tags/1/index/sha256/" + hex + "/link")
	f.Add(RootRepositories + "/a/_uploads/1/data")
	f.Add(RootUnlinked + "/a/sha256/" + hex)
	f.Add(RootRepositories + "/a/../../_uploads/1/data.0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11.tmp")
	f.Fuzz(func(t *testing.T, file string) {
		at := locate(file)
		if at.kind == other {
			return
		}
		if !strings.HasPrefix(file, at.dir) || !strings.HasPrefix(at.dir, root+"/") || filepath.Clean(at.dir) != at.dir {
			t.Errorf("%q takes %q with it", file, at.dir)
		}
		if at.kind == unlinked && (at.dir != file || at.dir != UnlinkedFile(at.repository, digest.Digest(at.digest))) {
			t.Errorf("%q takes %q of %q with it", file, at.dir, at.repository)
		}
		if at.kind != tempFile && at.kind != blob && at.kind != unlinked && (at.repository == "" || !strings.HasPrefix(at.dir, RootRepositories+"/"+at.repository+"/_")) {
			t.Errorf("%q takes %q of %q with it", file, at.dir, at.repository)
		}
		if at.digest != "" && digest.Digest(at.digest).Validate() != nil {
			t.Errorf("%q has digest %q", file, at.digest)
		}
	})
}

// A manifest names what its descriptors do, and nothing else.
func TestDigests(t *testing.T) {
	one, two, three := digest.FromString("one").String(), digest.FromString("two").String(), digest.FromString("three").String()
	for document, want := range map[string][]string{
		`{"config":{"digest":"` + one + `"},"layers":[{"size":1,"digest":"` + two + `"},{"digest":"` + three + `"}]}`:     {one, two, three},
		`{"manifests":[{"digest":"` + one + `","annotations":{"a":"` + two + `"}}],"subject":{"digest":"` + three + `"}}`: {one, three},
		`{"blobs":[{"digest":"` + one + `"}],"fsLayers":[{"blobSum":"` + two + `"}]}`:                                     {one, two},
		`{"annotations":{"a":"` + one + `","digest":"` + two + `"},"artifactType":"` + one + `"}`:                         {},
		`{"config":{"mediaType":"` + one + `","urls":["` + one + `"]},"layers":["` + one + `"],"subject":"` + one + `"}`:  {},
		`{"config":[],"layers":{"digest":"` + one + `"},"manifests":7,"subject":{"digest":7}}`:                            {},
		`{"layers":[{"digest":"sha256:12"},{"digest":"` + one + `","size":1e999}]}`:                                       {one},
	} {
		found, _, err := digests([]byte(document))
		slices.Sort(found)
		slices.Sort(want)
		if err != nil || !slices.Equal(found, want) {
			t.Errorf("%s names %q (%v), want %q", document, found, err, want)
		}
	}
}

// What a manifest only mentions, or has no link to in its repository, it does not keep.
func TestMentionedBlobsAreFreed(t *testing.T) {
	r := newRegistry(t)
	kept, gone := registrytest.Image(t, 1000, 3), registrytest.Image(t, 1000, 3)
	r.push("web:1", mutate.Annotations(kept, map[string]string{"keep": hash(t, gone)}).(v1.Image))
	r.push("web:2", gone)
	r.delete("web@" + hash(t, gone))
	if freed := r.collect(Options{}); freed.Blobs != 5 {
		t.Errorf("freed %+v", freed)
	}
	r.push("web:3", gone)
	layers, err := gone.Layers()
	r.check(err)
	layer, err := layers[0].Digest()
	r.check(err)
	r.delete("web@" + hash(t, gone)) // a manifest of another repository names it, but cannot give it
	raw := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"` + layer.String() + `"}]}`
	r.put(linkDir("other", manifest, digest.FromString(raw))+"/link", digest.FromString(raw).String())
	r.put(BlobFile(digest.FromString(raw)), raw)
	if freed := r.collect(Options{}); freed.Blobs != 5 {
		t.Errorf("freed %+v", freed)
	}
}

// A blob counts for a namespace without a link to it until it is gone.
func TestUnlinkedBlobsCountUntilTheyAreGone(t *testing.T) {
	r := newRegistry(t)
	blob := digest.FromString("a")
	r.put(BlobFile(blob), "a")
	r.put(UnlinkedFile("web", blob), blob.String())
	for _, step := range []struct {
		grace time.Duration
		left  bool
	}{{time.Hour, true}, {0, false}} {
		r.collect(Options{Grace: step.grace})
		_, err := r.storage.Stat(t.Context(), UnlinkedFile("web", blob))
		_, gone := r.storage.Stat(t.Context(), BlobFile(blob))
		if (err == nil) != step.left || (gone == nil) != step.left {
			t.Errorf("after %s: %v, %v", step.grace, err, gone)
		}
	}
}

// Digests are found in any document, or it is refused.
func FuzzDigests(f *testing.F) {
	one := digest.FromString("one").String()
	f.Add([]byte(`{"config":{"digest":"`+one+`"},"layers":[{"size":1e999}]}`), one)
	f.Add([]byte(`{`), one)
	f.Add([]byte(``), "")
	f.Fuzz(func(t *testing.T, document []byte, text string) {
		found, subject, err := digests(document)
		for _, one := range found {
			if digest.Digest(one).Validate() != nil {
				t.Errorf("%q is no digest", one)
			}
		}
		if subject != "" && !slices.Contains(found, subject) {
			t.Errorf("%q is a subject, and in none of %q", subject, found)
		}
		if digest.Digest(text).Validate() != nil || err != nil {
			return
		}
		mentioned := slices.Concat([]byte(`{"annotations":`), document, []byte(`,"a":"`+text+`"}`))
		if found, _, err := digests(mentioned); err != nil || len(found) > 0 {
			t.Errorf("%q names %q (%v)", mentioned, found, err)
		}
		within := slices.Concat([]byte(`{"annotations":`), document, []byte(`,"layers":[{"digest":"`+text+`"}]}`))
		if found, _, err := digests(within); err != nil || !slices.Contains(found, text) {
			t.Errorf("%q names %q, and only %q were found (%v)", within, text, found, err)
		}
	})
}
