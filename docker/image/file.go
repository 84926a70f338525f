package image

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ndock/docker"
	"ndock/docker/archive"
)

// findFile reads the description of a docker-archive; that of an oci-archive is known when it has been read.
func (p Places) findFile(r Reference) (*Source, error) {
	info, err := os.Stat(r.Path)
	if err != nil {
		return nil, &docker.Error{Op: fmt.Sprintf("image %q", r), Err: err}
	}
	if info.IsDir() {
		return nil, &docker.Error{Op: fmt.Sprintf("image %q", r), Err: fmt.Errorf("%q is a directory", r.Path), Tip: "oci:" + r.Path + " reads an OCI layout"}
	}
	source := &Source{Reference: r, Facts: Facts{Size: info.Size()}, own: true, checks: p.checks(), open: func(context.Context) (io.ReadCloser, error) {
		return os.Open(r.Path)
	}}
	source.checks.Choose = r.Name
	switch regular := info.Mode().IsRegular(); {
	case !regular: // as /dev/stdin is
		source.Once = true
	case r.Transport == DockerArchive:
		source.describe()
	}
	return source, nil
}

// describe fills in what a docker-archive says of itself, if it is not compressed. One that is, is described when it has
// been read, and so is what is wrong with one.
func (s *Source) describe() {
	file, err := os.Open(s.Path)
	if err != nil {
		return
	}
	defer file.Close()
	found, err := archive.Describe(file, s.checks)
	if err != nil {
		return
	}
	facts := factsOf(found)
	facts.Size = s.Size
	s.Facts = facts
}

// storeInFile writes beside the file and renames, so that there is never half of it. A pipe, a terminal or a device is written
// to as it is.
func storeInFile(ctx context.Context, source *Source, r Reference, watch io.Writer) error {
	if isStream(r.Path) {
		into, err := os.OpenFile(r.Path, os.O_WRONLY, 0)
		if err != nil {
			return &docker.Error{Op: fmt.Sprintf("write %q", r.Path), Err: err}
		}
		return errors.Join(writeArchive(ctx, source, r, io.MultiWriter(into, watch)), into.Close())
	}
	r.Path = behindLinks(r.Path)
	into, err := createTemp(filepath.Dir(r.Path), "."+filepath.Base(r.Path)+".")
	if err != nil {
		return &docker.Error{Op: fmt.Sprintf("write %q", r.Path), Err: err}
	}
	defer os.Remove(into.Name()) // which is gone if all went well
	err = writeArchive(ctx, source, r, io.MultiWriter(into, watch))
	if err := errors.Join(err, into.Sync(), into.Close()); err != nil {
		return err
	}
	return os.Rename(into.Name(), r.Path)
}

// isStream tells whether a path is of what cannot be replaced by a file, as /dev/null, /dev/stdout and named pipes are.
func isStream(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// behindLinks is the file to which a symbolic link leads. It is replaced, and the link stays.
func behindLinks(path string) string {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	return path
}

// createTemp creates a file with a name that begins so and that no other has. Unlike os.CreateTemp, it leaves the mode to
// the umask, as for any file that a command makes.
func createTemp(dir, begin string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, begin+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// writeArchive gives the image the name that its reference has, or leaves it those that it had: in an engine, or in an
// archive of the user's own. What an image in Glance calls itself is its maker's word.
func writeArchive(ctx context.Context, source *Source, r Reference, into io.Writer) error {
	renamed := *source
	renamed.tags, renamed.checks.KeepTags = source.Tags, source.own
	if r.Name != "" {
		renamed.tags = []string{r.Name}
	}
	from, err := renamed.Archive(ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(into, from)
	return err
}
