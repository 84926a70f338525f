package layerfiles_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"ndock/docker/engine/enginetest"
	"ndock/docker/engine/layerfiles"
)

// layerOf makes a tar of entries that have a header and their names as content.
func layerOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, header := range headers {
		var content string
		if header.Typeflag == 0 || header.Typeflag == tar.TypeReg {
			content = strings.Repeat(header.Name, int(header.Size))
			header.Size = int64(len(content))
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// one keeps one layer in files, and finds it there.
func one(t *testing.T, content []byte) (enginetest.LayerFiles, []digest.Digest) {
	t.Helper()
	files := enginetest.NewLayerFiles(t)
	return files, files.Put(content)
}

func find(t *testing.T, files enginetest.LayerFiles, diffIDs []digest.Digest) ([]layerfiles.Layer, error) {
	t.Helper()
	store, err := layerfiles.Of(system.Info{Driver: "overlay2", DockerRootDir: files.Root}, new(layerfiles.Sizes))
	if err != nil {
		t.Fatal(err)
	}
	return store.Layers(t.Context(), diffIDs)
}

func read(ctx context.Context, layer layerfiles.Layer) ([]byte, error) {
	content, err := layer.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}

// wantLayers checks that all layers come out as they were put in.
func wantLayers(t *testing.T, contents ...[]byte) {
	t.Helper()
	files := enginetest.NewLayerFiles(t)
	found, err := find(t, files, files.Put(contents...))
	if err != nil || len(found) != len(contents) {
		t.Fatalf("got %d layers, %v", len(found), err)
	}
	for n, layer := range found {
		got, err := read(t.Context(), layer)
		if err != nil || !bytes.Equal(got, contents[n]) || layer.Size != int64(len(got)) || layer.DiffID != digest.FromBytes(got) {
			t.Errorf("layer %d: got %d bytes, %v; it says %d and %s", n+1, len(got), err, layer.Size, layer.DiffID)
		}
	}
}

func TestLayers(t *testing.T) {
	odd := "odd \xff\xfe \" \\ \n\u2028 name"
	many := make([]tar.Header, 10_000)
	for n := range many {
		many[n] = tar.Header{Name: fmt.Sprintf("many/%d", n), Size: int64(n % 3), Mode: 0o644}
	}
	wantLayers(t,
		layerOf(t, many...),
		layerOf(t,
			tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
			tar.Header{Name: odd, Size: 100},
			tar.Header{Name: "/absolute", Size: 3},
			tar.Header{Name: "a/../b/./c", Size: 3},
			tar.Header{Name: "../../outside", Size: 3},
			tar.Header{Name: strings.Repeat("long/", 60) + "name", Size: 5},
			tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "b/c"},
			tar.Header{Name: "soft", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"},
			tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
			tar.Header{Name: "fifo", Typeflag: tar.TypeFifo},
			tar.Header{Name: "dir/.wh.gone", Size: 0},
			tar.Header{Name: "dir/.wh..wh..opq", Size: 0},
			tar.Header{Name: "with-attributes", Size: 9, PAXRecords: map[string]string{"SCHILY.xattr.user.note": strings.Repeat("x", 60_000)}},
			tar.Header{Name: "gnu", Size: 9, Format: tar.FormatGNU},
		),
		layerOf(t), // an empty one
		append(layerOf(t, tar.Header{Name: "padded", Size: 1}), make([]byte, 3<<20)...),
	)
}

// TestSizes are the tar's, and those of the files in it.
func TestSizes(t *testing.T) {
	files, diffIDs := one(t, layerOf(t, tar.Header{Name: "ab", Size: 50}, tar.Header{Name: "c", Size: 7}))
	found, err := find(t, files, diffIDs)
	if err != nil || found[0].Size != 512+512+512+512+1024 || found[0].Unpacked != 107 {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestSizesAreCountedOnce: the records are read no more, and nothing else is remembered.
func TestSizesAreCountedOnce(t *testing.T) {
	files, diffIDs := one(t, layerOf(t, tar.Header{Name: "file", Size: 50}))
	store, err := layerfiles.Of(system.Info{Driver: "overlay2", DockerRootDir: files.Root}, new(layerfiles.Sizes))
	if err != nil {
		t.Fatal(err)
	}
	before, err := store.Layers(t.Context(), diffIDs)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(files.Records(diffIDs), "tar-split.json.gz")); err != nil {
		t.Fatal(err)
	}
	after, err := store.Layers(t.Context(), diffIDs)
	if err != nil || before[0] != after[0] {
		t.Errorf("got %+v, %v; before %+v", after, err, before)
	}
	if _, err := after[0].Open(t.Context()); !errors.Is(err, layerfiles.ErrNotHere) {
		t.Errorf("without records: got %v", err)
	}
}

func TestWhereLayersCannotBeHad(t *testing.T) {
	for name, info := range map[string]system.Info{
		"another storage driver": {Driver: "btrfs", DockerRootDir: "/var/lib/docker"},
		"containerd's store":     {Driver: "overlayfs", DockerRootDir: "/var/lib/docker"},
		"containerd's overlay2":  {Driver: "overlay2", DriverStatus: [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}},
	} {
		if _, err := layerfiles.Of(info, new(layerfiles.Sizes)); !errors.Is(err, layerfiles.ErrNotHere) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, remove := range map[string]func(files enginetest.LayerFiles, diffIDs []digest.Digest) string{
		"no directory of Docker's": func(f enginetest.LayerFiles, _ []digest.Digest) string { return f.Root },
		"no such layer":            func(f enginetest.LayerFiles, d []digest.Digest) string { return f.Records(d) },
		"no records":               func(f enginetest.LayerFiles, d []digest.Digest) string { return f.Records(d) + "/tar-split.json.gz" },
	} {
		files, diffIDs := one(t, layerOf(t, tar.Header{Name: "file", Size: 1}))
		if err := os.RemoveAll(remove(files, diffIDs)); err != nil {
			t.Fatal(err)
		}
		if _, err := find(t, files, diffIDs); !errors.Is(err, layerfiles.ErrNotHere) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestWhatIsNoDigest is no path either.
func TestWhatIsNoDigest(t *testing.T) {
	files, _ := one(t, layerOf(t))
	for _, id := range []digest.Digest{"", "sha256:", "sha256:../../../etc/passwd", "../x", digest.SHA512.FromString("x"), "sha256:" + digest.Digest(strings.Repeat("A", 64))} {
		if _, err := find(t, files, []digest.Digest{id}); err == nil || errors.Is(err, layerfiles.ErrNotHere) {
			t.Errorf("layer %q: got %v", id, err)
		}
		store, err := layerfiles.Of(system.Info{Driver: "overlay2", DockerRootDir: files.Root}, new(layerfiles.Sizes))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Config(id); err == nil || errors.Is(err, layerfiles.ErrNotHere) {
			t.Errorf("configuration %q: got %v", id, err)
		}
	}
}

func TestConfig(t *testing.T) {
	files := enginetest.NewLayerFiles(t)
	id := files.PutConfig([]byte("{}\n"))
	store, err := layerfiles.Of(system.Info{Driver: "overlay2", DockerRootDir: files.Root}, new(layerfiles.Sizes))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.Config(id); err != nil || string(got) != "{}\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := store.Config(digest.FromString("none")); !errors.Is(err, layerfiles.ErrNotHere) {
		t.Errorf("none: got %v", err)
	}
	path := filepath.Join(files.Root, "image/overlay2/imagedb/content/sha256", id.Encoded())
	for _, content := range []string{"{}", strings.Repeat(" ", 5<<20)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Config(id); err == nil {
			t.Errorf("%d other bytes are taken", len(content))
		}
	}
}

// hostile has something in the place of a layer's file, and returns why its tar cannot be had.
func hostile(t *testing.T, put func(path string) error) error {
	t.Helper()
	files, diffIDs := one(t, layerOf(t, tar.Header{Name: "dir/file", Size: 4}))
	found, err := find(t, files, diffIDs)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(files.Diff(diffIDs), "dir/file")
	if err := errors.Join(os.Remove(path), put(path)); err != nil {
		t.Fatal(err)
	}
	_, err = read(t.Context(), found[0])
	return err
}

// TestAnotherFileInItsPlace is never read, opened or waited for, wherever it leads.
func TestAnotherFileInItsPlace(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(secret, []byte("dir/filedir/filedir/filedir/file"), 0o600); err != nil { // the very content
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		put  func(path string) error
		says string
	}{
		"nothing":         {func(string) error { return nil }, "no such file"},
		"a link":          {func(path string) error { return os.Symlink(secret, path) }, "is no regular file"},
		"a relative link": {func(path string) error { return os.Symlink("../../../../"+filepath.Base(secret), path) }, "is no regular file"},
		"a link in the path": {func(path string) error {
			return errors.Join(os.Remove(filepath.Dir(path)), os.Symlink(filepath.Dir(secret), filepath.Dir(path)))
		}, "path escapes from parent"},
		"a FIFO":       {func(path string) error { return unix.Mkfifo(path, 0o600) }, "is no regular file"},
		"a directory":  {func(path string) error { return os.Mkdir(path, 0o700) }, "is no regular file"},
		"a short file": {func(path string) error { return os.WriteFile(path, []byte("dir/"), 0o600) }, "28 bytes less"},
		"another file": {func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", 32)), 0o600) }, "they give another tar"},
	} {
		if err := hostile(t, c.put); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}

// TestALongerFile is read as far as its tar says.
func TestALongerFile(t *testing.T) {
	err := hostile(t, func(path string) error {
		return os.WriteFile(path, []byte("dir/filedir/filedir/filedir/file and more"), 0o600)
	})
	if err != nil {
		t.Errorf("got %v", err)
	}
}

func TestADeviceInItsPlace(t *testing.T) {
	err := hostile(t, func(path string) error {
		err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) // zero
		if errors.Is(err, unix.EPERM) {
			t.Skip("devices cannot be made here")
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("got %v", err)
	}
}

// TestLinksAmongDockersFiles are not followed, but for the directory of all, which is the operator's.
func TestLinksAmongDockersFiles(t *testing.T) {
	content := layerOf(t, tar.Header{Name: "file", Size: 1})
	files, diffIDs := one(t, content)
	other := filepath.Join(t.TempDir(), "docker")
	if err := os.Symlink(files.Root, other); err != nil {
		t.Fatal(err)
	}
	found, err := find(t, enginetest.LayerFiles{Root: other}, diffIDs)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t.Context(), found[0]); err != nil || !bytes.Equal(got, content) {
		t.Errorf("through the operator's link: got %d bytes, %v", len(got), err)
	}
	for name, of := range map[string]func(enginetest.LayerFiles, []digest.Digest) string{
		"files": enginetest.LayerFiles.Diff, "records": enginetest.LayerFiles.Records,
	} {
		files, diffIDs := one(t, content)
		found, err := find(t, files, diffIDs)
		if err != nil {
			t.Fatal(err)
		}
		dir, away := of(files, diffIDs), filepath.Join(t.TempDir(), "away")
		if err := errors.Join(os.Rename(dir, away), os.Symlink(away, dir)); err != nil {
			t.Fatal(err)
		}
		if _, err := read(t.Context(), found[0]); err == nil || !strings.Contains(err.Error(), "path escapes from parent") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// rewrite changes what Docker has recorded of a layer, and says what reading it gives then.
func rewrite(t *testing.T, name string, content []byte) error {
	t.Helper()
	files, diffIDs := one(t, layerOf(t, tar.Header{Name: "file", Size: 1}))
	if err := os.WriteFile(filepath.Join(files.Records(diffIDs), name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := find(t, files, diffIDs)
	if err == nil {
		_, err = read(t.Context(), found[0])
	}
	return err
}

func packed(t *testing.T, lines ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for _, line := range lines {
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDamagedRecords(t *testing.T) {
	const huge = `{"type":1,"name":"file","size":9223372036854775807}`
	for name, c := range map[string]struct {
		file    string
		content []byte
		says    string
	}{
		"another layer":      {"diff", []byte("sha256:" + strings.Repeat("0", 64)), "it is called"},
		"an endless diff":    {"diff", make([]byte, 1<<20), "more than 100 bytes"},
		"a path":             {"cache-id", []byte("../../../etc"), "is no directory of a layer"},
		"no gzip":            {"tar-split.json.gz", []byte("{}"), "its records"},
		"half a gzip":        {"tar-split.json.gz", packed(t, huge)[:20], "its records: unexpected end"},
		"no JSON":            {"tar-split.json.gz", packed(t, "{"), "its records"},
		"another kind":       {"tar-split.json.gz", packed(t, `{"type":3}`), "the type 3"},
		"a negative size":    {"tar-split.json.gz", packed(t, `{"type":1,"size":-1}`), "the size -1"},
		"sizes beyond count": {"tar-split.json.gz", packed(t, huge, huge), "more than any disk has"},
		"a record of 5 MiB":  {"tar-split.json.gz", packed(t, `{"type":2,"payload":"`+strings.Repeat("A", 5<<20)+`"}`), "token too long"},
		"nothing":            {"tar-split.json.gz", packed(t), "they give another tar"},
		"a file outside":     {"tar-split.json.gz", packed(t, `{"type":1,"name":"../../../../../../../../etc/passwd","size":1}`), "no such file"},
		"a name with a zero": {"tar-split.json.gz", packed(t, `{"type":1,"name":"a\u0000b","size":1}`), "invalid argument"},
		"no name":            {"tar-split.json.gz", packed(t, `{"type":1,"size":1}`), "empty path"},
	} {
		if err := rewrite(t, c.file, c.content); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s", name, err, c.says)
		}
	}
}

func TestCancelled(t *testing.T) {
	files, diffIDs := one(t, layerOf(t, tar.Header{Name: "file", Size: 1000}))
	found, err := find(t, files, diffIDs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	content, err := found[0].Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(content); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := content.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := content.Read(make([]byte, 10)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after close: got %v", err)
	}
}

// FuzzRecords has any records read: no file outside the layer's is, and what is read is the layer or an error.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"type":2,"payload":"YWJj"}`))
	f.Add([]byte(`{"type":1,"name":"file","size":4,"payload":"AAAAAAAAAAA="}`))
	f.Add([]byte(`{"type":1,"name":"../secret","size":6}`))
	f.Add([]byte(`{"type":1,"name_raw":"Li4vc2VjcmV0","size":6}`))
	root, secret := f.TempDir(), rand.Text()
	diff := filepath.Join(root, "diff")
	if err := errors.Join(os.Mkdir(diff, 0o700), os.WriteFile(filepath.Join(root, "secret"), []byte(secret), 0o600),
		os.WriteFile(filepath.Join(diff, "file"), []byte("file"), 0o600), os.Symlink("../secret", filepath.Join(diff, "link"))); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		got, size, err := layerfiles.Assemble(t.Context(), lines, diff)
		if bytes.Contains(got, []byte(secret)) {
			t.Errorf("%q reads a file outside", lines)
		}
		if err == nil && size != int64(len(got)) {
			t.Errorf("%q gives %d bytes and not %d", lines, len(got), size)
		}
	})
}
