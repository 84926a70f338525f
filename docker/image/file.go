package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/google/renameio/v2"

	"ndock/docker"
	"ndock/docker/archive"
)

// findFile reads the description of a docker-archive; that of an oci-archive is known when it has been read.
func (t Transports) findFile(r Reference) (*Source, error) {
	info, err := os.Stat(r.Path)
	if err != nil {
		return nil, &docker.Error{Op: fmt.Sprintf("image %q", r), Err: err}
	}
	if info.IsDir() {
		return nil, &docker.Error{Op: fmt.Sprintf("image %q", r), Err: fmt.Errorf("%q is a directory", r.Path), Tip: "oci:" + r.Path + " reads an OCI layout"}
	}
	source := &Source{Reference: r, Metadata: Metadata{Size: info.Size()}, trustTags: true, options: t.archiveOptions(), open: func(context.Context) (io.ReadCloser, error) {
		return os.Open(r.Path)
	}}
	source.options.Name = r.Name
	switch regular := info.Mode().IsRegular(); {
	case !regular: // as /dev/stdin is
		source.ReadOnce = true
	case r.Transport == DockerArchive:
		source.readMetadata()
	}
	return source, nil
}

// describe fills in what a docker-archive says of itself, if it is not compressed. One that is, is described when it has
// been read, and so is what is wrong with one.
func (s *Source) readMetadata() {
	file, err := os.Open(s.Path)
	if err != nil {
		return
	}
	defer file.Close()
	found, err := archive.Describe(file, s.options)
	if err != nil {
		return
	}
	metadata := metadataOf(found)
	metadata.Size = s.Size
	s.Metadata = metadata
}

// storeInFile writes the image as an archive.
func storeInFile(ctx context.Context, source *Source, r Reference, watch io.Writer) error {
	into, err := createFile(r.Path)
	if err != nil {
		return &docker.Error{Op: fmt.Sprintf("write %q", r.Path), Err: err}
	}
	return into.commit(writeArchive(ctx, source, r, io.MultiWriter(into, watch)))
}

// destination is a file that becomes what is at a path when all of it is there, or a stream, which is written to as it is.
type outputFile struct {
	*os.File
	pending *renameio.PendingFile // nil for a stream
}

// createFile begins a file beside the path. What cannot be replaced by a file, as a descriptor, a named pipe or a device, is
// opened. A symbolic link to a file is not followed, because anybody may have put it there: it is replaced.
func createFile(path string) (outputFile, error) {
	if n, is := fileDescriptor(path); is {
		into, err := dupDescriptor(n, path)
		return outputFile{File: into}, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		into, err := openDevice(path)
		return outputFile{File: into}, err
	}
	into, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), umaskPermissions)
	if err != nil {
		return outputFile{}, err
	}
	return outputFile{into.File, into}, nil
}

// asUmask leaves a file's mode to the umask, as for any file that a command makes.
var umaskPermissions = renameio.WithPermissions(0o666)

// end puts the file in its place, unless it came to an error.
func (d outputFile) commit(err error) error {
	if d.pending == nil {
		return errors.Join(err, d.Close())
	}
	defer d.pending.Cleanup() // does nothing after the replacement
	if err != nil {
		return err
	}
	return d.pending.CloseAtomicallyReplace()
}

// openStream opens what is no file, and has not become one since.
func openDevice(path string) (*os.File, error) {
	into, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := into.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = fmt.Errorf("%q was no file, and has become one: try again", path)
	}
	if err != nil {
		return nil, errors.Join(err, into.Close())
	}
	return into, nil
}

// ToStdout tells whether a destination is this process's stdout, which is the image's then.
func (r Reference) ToStdout() bool {
	n, is := fileDescriptor(r.Path)
	return r.Transport == Stream || is && n == syscall.Stdout
}

// descriptor tells which of the process's open files a path is. It may be a file, of which another process writes its part,
// or one that has no path any more.
func fileDescriptor(path string) (int, bool) {
	path = filepath.Clean(path)
	if n := slices.Index([]string{"/dev/stdin", "/dev/stdout", "/dev/stderr"}, path); n >= 0 {
		return n, true
	}
	dir, number := filepath.Split(path)
	n, err := strconv.Atoi(number)
	return n, err == nil && n >= 0 && (dir == "/dev/fd/" || dir == "/proc/self/fd/")
}

// duplicate is a file of the process's that can be closed on its own. It goes on where that one is.
func dupDescriptor(descriptor int, path string) (*os.File, error) {
	n, err := syscall.Dup(descriptor)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(n)
	return os.NewFile(uintptr(n), path), nil
}

// writeArchive gives the image the name that its reference has, or leaves it those that it had: in an engine, or in an
// archive of the user's own. What an image in Glance calls itself is its maker's word.
func writeArchive(ctx context.Context, source *Source, r Reference, into io.Writer) error {
	renamed := *source
	renamed.tags, renamed.options.KeepTags = source.Tags, source.trustTags
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
