package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ndock/docker/archive"
)

// TestHangingStdin: an image from a stdin that gives nothing more can be given up by the context, or by closing it, also
// while it is read.
func TestHangingStdin(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(cancel func(), opened *Archive) error{
		"interrupted": func(cancel func(), _ *Archive) error { cancel(); return nil },
		"closed":      func(_ func(), opened *Archive) error { return opened.Close() },
	} {
		t.Run(name, func(t *testing.T) { hangingStdin(t, giveUp) })
	}
}

func hangingStdin(t *testing.T, giveUp func(cancel func(), opened *Archive) error) {
	stdin, never := io.Pipe()
	t.Cleanup(func() { never.Close() })
	source, err := Places{Stdin: stdin}.Find(t.Context(), Reference{Transport: Stream})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened, err := source.Archive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, opened)
		read <- err
	}()
	if err := giveUp(cancel, opened); err != nil {
		t.Error(err)
	}
	select {
	case err := <-read:
		if err == nil {
			t.Error("half an image was read as a whole one")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for stdin")
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
}

// TestEmptyStdin: /dev/null and an empty pipe are no terminal, and no image.
func TestEmptyStdin(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, stdin := range map[string]io.Reader{"/dev/null": null, "pipe": strings.NewReader("")} {
		p := newPlaces(t)
		p.Stdin = stdin
		_, err := read(t.Context(), p, "-")
		if err == nil || strings.Contains(err.Error(), "terminal") || !strings.Contains(err.Error(), "empty") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestNames: an archive of the user's own keeps its names in another archive, unless that is given one. What an image of
// Glance's calls itself is not the user's word.
func TestNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	saved := savedImage(t, layerTar(t, "hello"))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(saved); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "saved.tar"), saved)
	write(t, filepath.Join(dir, "saved.tgz"), packed.Bytes())
	for _, c := range []struct{ from, to, want string }{
		{"docker-archive:" + dir + "/saved.tar", "", "[web:1]"},
		{"docker-archive:" + dir + "/saved.tgz", "", "[web:1]"},
		{"docker-archive:" + dir + "/saved.tgz:docker.io/library/web:1", "", "[web:1]"},
		{"docker-archive:" + dir + "/saved.tgz", ":site/web:2", "[site/web:2]"},
		{"docker-archive:" + dir + "/saved.tar", ":site/web:2", "[site/web:2]"},
		{"-", "", "[web:1]"},
		{"glance:web", "", "[]"},
	} {
		p := newPlaces(t)
		p.Stdin = bytes.NewReader(saved)
		p.Glance = func(context.Context, string) (Source, error) {
			return FromArchive(Facts{}, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(saved)), nil }), nil
		}
		out := filepath.Join(t.TempDir(), "out.tar")
		if got, err := copied(t, p, c.from, "docker-archive:"+out+c.to); err != nil || fmt.Sprint(got.Tags) != c.want {
			t.Errorf("%s to %s: %v, %v; want %s", c.from, c.to, got.Tags, err, c.want)
		}
	}
}

// copied is what an archive is that was copied.
func copied(t *testing.T, p Places, from, to string) (archive.Contents, error) {
	t.Helper()
	source, err := ParseReference(from)
	if err != nil {
		t.Fatal(err)
	}
	dest, err := ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	found, err := p.Find(t.Context(), source)
	if err != nil {
		return archive.Contents{}, err
	}
	if _, err := p.Store(t.Context(), found, dest, io.Discard); err != nil {
		return archive.Contents{}, err
	}
	file, err := os.Open(dest.Path)
	if err != nil {
		return archive.Contents{}, err
	}
	defer file.Close()
	return archive.Describe(file, archive.Options{Platform: p.Platform})
}
