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

// findFile finds an archive in a file. It reads the metadata of a docker-archive; that of an oci-archive is known
// after reading it.
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
	case !regular: // such as /dev/stdin
		source.ReadOnce = true
	case r.Transport == DockerArchive:
		source.readMetadata()
	}
	return source, nil
}

// readMetadata reads the metadata of an uncompressed docker-archive. If it fails, metadata and errors come with
// reading the image.
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

// storeInFile writes the image as a Docker archive.
func storeInFile(ctx context.Context, source *Source, r Reference, watch io.Writer) error {
	into, err := createFile(r.Path)
	if err != nil {
		return &docker.Error{Op: fmt.Sprintf("write %q", r.Path), Err: err}
	}
	return into.commit(writeArchive(ctx, source, r, io.MultiWriter(into, watch)))
}

// outputFile is a file that replaces its path when it is complete, or a stream.
type outputFile struct {
	*os.File
	pending *renameio.PendingFile // nil for a stream
}

// createFile creates a file that will replace the path. A descriptor, a named pipe or a device is opened instead. A
// symbolic link to a file is replaced, not followed, because anybody may have created it.
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

// umaskPermissions leaves the mode to the umask, as for any file that a command creates.
var umaskPermissions = renameio.WithPermissions(0o666)

// commit puts the file in its place, or closes the stream. After an error it removes the file and returns the error.
func (f outputFile) commit(err error) error {
	if f.pending == nil {
		return errors.Join(err, f.Close())
	}
	defer f.pending.Cleanup() // no effect after the replacement
	if err != nil {
		return err
	}
	return f.pending.CloseAtomicallyReplace()
}

// openDevice opens a pipe or device. It fails if the path has become a file since.
func openDevice(path string) (*os.File, error) {
	into, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := into.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = fmt.Errorf("%q has become a file while the image was read: try again", path)
	}
	if err != nil {
		return nil, errors.Join(err, into.Close())
	}
	return into, nil
}

// ToStdout reports whether a destination is this process's stdout.
func (r Reference) ToStdout() bool {
	n, is := fileDescriptor(r.Path)
	return r.Transport == Stream || is && n == syscall.Stdout
}

// fileDescriptor returns the descriptor of this process that a path names. Other processes may be writing to the same
// file, or it may have no path any more.
func fileDescriptor(path string) (int, bool) {
	path = filepath.Clean(path)
	if n := slices.Index([]string{"/dev/stdin", "/dev/stdout", "/dev/stderr"}, path); n >= 0 {
		return n, true
	}
	dir, number := filepath.Split(path)
	n, err := strconv.Atoi(number)
	return n, err == nil && n >= 0 && (dir == "/dev/fd/" || dir == "/proc/self/fd/")
}

// dupDescriptor returns a second descriptor of the same open file. Closing it leaves the first open.
func dupDescriptor(descriptor int, path string) (*os.File, error) {
	n, err := syscall.Dup(descriptor)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(n)
	return os.NewFile(uintptr(n), path), nil
}

// writeArchive writes the image with the name in its reference. Without one the image keeps its tags if it is from an
// engine or from an archive of the user's. Tags in an image from Glance are not kept: its maker chose them.
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
