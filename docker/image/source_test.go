package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ndock/docker/archive"
)

// TestHangingStdin: reading a blocked stdin ends with the context or with Close.
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
	source, err := Transports{Stdin: stdin}.Find(t.Context(), Reference{Transport: Stream})
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

// TestEmptyStdin: /dev/null and an empty pipe are not taken for a terminal, and not for an image.
func TestEmptyStdin(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, stdin := range map[string]io.Reader{"/dev/null": null, "pipe": strings.NewReader("")} {
		transports := newTransports(t)
		transports.Stdin = stdin
		_, err := read(t.Context(), transports, "-")
		if err == nil || strings.Contains(err.Error(), "terminal") || !strings.Contains(err.Error(), "empty") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestNames: an archive of the user's keeps its names in another archive, unless a name is given. Names in an image
// from Glance are dropped.
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
	write(t, filepath.Join(dir, "odd.tar"), bytes.Replace(saved, []byte(`["web:1"]`), []byte(`["WEB:"] `), 1))
	for _, c := range []struct{ from, to, want string }{
		{"docker-archive:" + dir + "/saved.tar", "", "[web:1]"},
		{"docker-archive:" + dir + "/saved.tgz", "", "[web:1]"},
		{"docker-archive:" + dir + "/saved.tgz:docker.io/library/web:1", "", "[web:1]"},
		{"docker-archive:" + dir + "/saved.tgz", ":site/web:2", "[site/web:2]"},
		{"docker-archive:" + dir + "/saved.tar", ":site/web:2", "[site/web:2]"},
		{"docker-archive:" + dir + "/saved.tar", ":site/web", "[site/web:latest]"},
		{"docker-archive:" + dir + "/odd.tar", "", "[]"}, // an engine would not load it otherwise
		{"-", "", "[web:1]"},
		{"glance:web", "", "[]"},
	} {
		transports := newTransports(t)
		transports.Stdin = bytes.NewReader(saved)
		transports.Glance = func(context.Context, string) (Source, error) {
			return FromArchive(Metadata{}, func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(saved)), nil }, nil), nil
		}
		out := filepath.Join(t.TempDir(), "out.tar")
		if got, err := copied(t, transports, c.from, "docker-archive:"+out+c.to); err != nil || fmt.Sprint(got.Tags) != c.want {
			t.Errorf("%s to %s: %v, %v; want %s", c.from, c.to, got.Tags, err, c.want)
		}
	}
}

// copied copies an image to an archive and describes the result.
func copied(t *testing.T, transports Transports, from, to string) (archive.Contents, error) {
	t.Helper()
	if err := copyTo(t, transports, from, to); err != nil {
		return archive.Contents{}, err
	}
	_, path, _ := strings.Cut(to, ":")
	path, _, _ = strings.Cut(path, ":")
	file, err := os.Open(path)
	if err != nil {
		return archive.Contents{}, err
	}
	defer file.Close()
	return archive.Describe(file, archive.Options{Platform: transports.Platform})
}

// TestPipeAsDestination: an image can be written to a pipe.
func TestPipeAsDestination(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"docker-archive:", "oci-archive:"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "saved.tar"), savedImage(t, layerTar(t, "hello")))
		pipe := filepath.Join(dir, "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		read := make(chan []byte)
		go func() {
			defer close(read)
			if content, err := os.ReadFile(pipe); err == nil {
				read <- content
			}
		}()
		if err := copyTo(t, newTransports(t), "docker-archive:"+dir+"/saved.tar", transport+pipe); err != nil {
			t.Errorf("%s%s: %v", transport, pipe, err)
		}
		if info, err := os.Lstat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
			t.Fatalf("%s%s is %v, %v now", transport, pipe, info.Mode(), err)
		}
		write(t, filepath.Join(dir, "piped"), <-read)
		if _, err := copied(t, newTransports(t), transport+dir+"/piped", "docker-archive:"+dir+"/again.tar"); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
	}
}

// TestLinkAsDestination: a link at the destination, which anybody may have created, is replaced, and its target
// stays.
func TestLinkAsDestination(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"docker-archive:", "oci-archive:"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "saved.tar"), savedImage(t, layerTar(t, "hello")))
		write(t, filepath.Join(dir, "precious"), []byte("precious"))
		for _, target := range []string{"precious", "missing"} {
			link := filepath.Join(dir, "to-"+target)
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			if err := copyTo(t, newTransports(t), "docker-archive:"+dir+"/saved.tar", transport+link); err != nil {
				t.Errorf("%s%s: %v", transport, link, err)
			}
			if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s%s is %v, %v now", transport, link, info.Mode(), err)
			}
			if _, err := copied(t, newTransports(t), transport+link, "docker-archive:"+dir+"/again.tar"); err != nil {
				t.Errorf("%s%s: %v", transport, link, err)
			}
		}
		if content, err := os.ReadFile(filepath.Join(dir, "precious")); string(content) != "precious" {
			t.Errorf("%s: the file behind the link is %.20q, %v now", transport, content, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a file behind a link has been made: %v", transport, err)
		}
	}
}

// TestDescriptorAsDestination: an image is written to an open file, such as /dev/stdout, after what others have
// written, even if the file has no path any more.
func TestDescriptorAsDestination(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		transport, path string
		deleted         bool
	}{
		{"docker-archive:", "/dev/fd/", false},
		{"docker-archive:", "/proc/self/fd/", true},
		{"oci-archive:", "/dev/fd/", false},
		{"oci-archive:", "/dev//fd/", true},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "saved.tar"), savedImage(t, layerTar(t, "hello")))
		file, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if c.deleted {
			err = os.Remove(file.Name())
		}
		_, before := file.WriteString("before ")
		to := c.transport + c.path + strconv.Itoa(int(file.Fd()))
		err = errors.Join(err, before, copyTo(t, newTransports(t), "docker-archive:"+dir+"/saved.tar", to))
		_, after := file.WriteString(" after")
		if err := errors.Join(err, after); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		_, err = file.Seek(0, io.SeekStart)
		content, reading := io.ReadAll(file)
		image, first := bytes.CutPrefix(content, []byte("before "))
		image, last := bytes.CutSuffix(image, []byte(" after"))
		if err := errors.Join(err, reading); err != nil || !first || !last {
			t.Errorf("%s: what was there before: %t, after: %t; %v", to, first, last, err)
		}
		write(t, filepath.Join(dir, "image"), image)
		if _, err := copied(t, newTransports(t), c.transport+dir+"/image", "docker-archive:"+dir+"/again.tar"); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestToStdout: all names of stdout are recognized, and no other file.
func TestToStdout(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"-": true, "docker-archive:/dev/stdout": true, "oci-archive:/dev/fd/1": true, "docker-archive:/proc/self/fd/1:web": true,
		"docker-archive:/dev/stderr": false, "docker-archive:/dev/fd/11": false, "docker-archive:out.tar": false, "web:1": false,
	} {
		if r, err := ParseReference(text); err != nil || r.ToStdout() != want {
			t.Errorf("%s: %t, %v", text, r.ToStdout(), err)
		}
	}
}

// TestPipeAsAFile: an archive may be a named pipe, which is not read before the copy.
func TestPipeAsAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, saved := filepath.Join(dir, "pipe"), savedImage(t, layerTar(t, "hello"))
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(pipe, saved, 0) }()
	got, err := copied(t, newTransports(t), "docker-archive:"+pipe, "docker-archive:"+dir+"/out.tar")
	if err != nil || fmt.Sprint(got.Tags) != "[web:1]" {
		t.Errorf("%v, %v", got.Tags, err)
	}
}

func copyTo(t *testing.T, transports Transports, from, to string) error {
	t.Helper()
	source, err := ParseReference(from)
	if err != nil {
		t.Fatal(err)
	}
	dest, err := ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	found, err := transports.Find(t.Context(), source)
	if err != nil {
		return err
	}
	_, err = transports.Store(t.Context(), found, dest, io.Discard)
	return err
}

// TestFileOrDirectory: the error for a layout named as an archive, or an archive named as a layout, says what reads
// it.
func TestFileOrDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "web.tar")
	write(t, file, savedImage(t, layerTar(t, "hello")))
	for text, want := range map[string]string{
		"docker-archive:" + dir: "oci:" + dir + " reads an OCI layout",
		"oci-archive:" + dir:    "oci:" + dir + " reads an OCI layout",
		"oci:" + file:           "docker-archive:" + file + " reads an archive",
	} {
		_, err := read(t.Context(), newTransports(t), text)
		var hinted interface{ Hint() string }
		if !asHinted(err, &hinted) || !strings.Contains(hinted.Hint(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
