// Package archive checks a Docker archive (what `docker save` writes) while it flows by, and takes the names out
// of it: an image is known by the bytes that it is made of, and what a tenant calls it must not move a name that
// the host uses. Nothing is held in memory but the manifest.
package archive

import (
	"archive/tar"
	"bufio"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// Error says why a stream is not a Docker archive that can be loaded, in words for the owner of the image.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// manifestLimit is the most that a manifest may have, in bytes; 127 layers take some 20 KiB.
const manifestLimit = 4 << 20

// Anonymous copies the archive from src to dst without the names in it. It returns an *Error for what is not an
// archive of exactly one image, and other errors as they come from src and dst. What dst was given until then
// is worthless, and must not be loaded.
func Anonymous(dst io.Writer, src io.Reader) error {
	in, err := open(src)
	if err != nil {
		return err
	}
	out := tar.NewWriter(dst)
	c := copier{in: tar.NewReader(in), out: out}
	if err := c.copy(); err != nil {
		return err
	}
	if !c.manifest {
		return refuse("it is a tar archive without a manifest.json, so not one that 'docker save' wrote")
	}
	// What follows is tar's padding. An archive without its end is none, so dst gets its own end only after that.
	if _, err = io.Copy(io.Discard, in); err != nil {
		return damaged(err, c.entries)
	}
	return out.Close()
}

// open looks at the first bytes and unpacks gzip.
func open(src io.Reader) (io.Reader, error) {
	in, magic, err := peek(src)
	if err != nil || !strings.HasPrefix(magic, "\x1f\x8b") {
		return in, err
	}
	unpacked, err := gzip.NewReader(in)
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, refuse("it is compressed, but not as gzip does it: %v", err)
	case err != nil:
		return nil, err
	}
	in, _, err = peek(unpacked)
	return in, err
}

// peek tells what a stream begins with, and refuses what is no archive at first sight.
func peek(src io.Reader) (*bufio.Reader, string, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	magic, err := in.Peek(4)
	switch {
	case len(magic) == 0 && errors.Is(err, io.EOF):
		return nil, "", refuse("it is empty")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, "", damaged(err, 0)
	case string(magic) == "QFI\xfb":
		return nil, "", refuse("it is a qcow2 disk image, not a Docker archive")
	}
	return in, string(magic), nil
}

type copier struct {
	in       *tar.Reader
	out      *tar.Writer
	entries  int
	manifest bool
}

func (c *copier) copy() error {
	for {
		header, err := c.in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err, c.entries)
		}
		c.entries++
		if err := c.entry(header); err != nil {
			return err
		}
	}
}

// damaged tells a stream that is no tar at all from one that is cut off or broken after some entries, and both from
// a failing source.
func damaged(err error, entries int) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("it is cut off: it ends in the middle of its entry %d", entries+1)
	case errors.Is(err, tar.ErrHeader) && entries == 0:
		return refuse("it is no tar archive")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return refuse("it is damaged after its entry %d", entries)
	}
	return err
}

func (c *copier) entry(header *tar.Header) error {
	if err := check(header); err != nil {
		return err
	}
	switch path.Clean(header.Name) {
	case "manifest.json":
		c.manifest = true
		return c.rewrite(header, anonymousManifest)
	case "index.json":
		return c.rewrite(header, anonymousIndex)
	case "repositories": // names only, of old
		return nil
	}
	if err := c.out.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(c.out, c.in); err != nil {
		return damaged(err, c.entries)
	}
	return nil
}

// check refuses what would leave the directory that the archive is unpacked in.
func check(header *tar.Header) error {
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink: // older engines link layers that occur twice
		if path.Base(header.Name) != linkName {
			return refuse("its link %q is not one to a layer", header.Name)
		}
		if climbs(path.Join(path.Dir(header.Name), header.Linkname)) || path.IsAbs(header.Linkname) {
			return refuse("its link %q leads out of it, to %q", header.Name, header.Linkname)
		}
	default:
		return refuse("its entry %q is neither a file nor a directory", header.Name)
	}
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return refuse("its entry %q is a sparse file, which may be of any size without being sent", header.Name)
		}
	}
	if path.IsAbs(header.Name) || climbs(header.Name) {
		return refuse("its path %q leads out of it", header.Name)
	}
	if slices.Contains(strings.Split(path.Dir(path.Clean(header.Name)), "/"), linkName) {
		return refuse("its path %q may lead through a link", header.Name)
	}
	return nil
}

// linkName is the only name that a link may have, and that no directory may: what is unpacked through a link could
// land on a manifest.json that has been checked.
const linkName = "layer.tar"

func climbs(name string) bool {
	clean := path.Clean(name)
	return clean == ".." || strings.HasPrefix(clean, "../")
}

func (c *copier) rewrite(header *tar.Header, anonymous func([]byte) ([]byte, error)) error {
	if header.Size > manifestLimit {
		return refuse("its %s has %d bytes, more than any image needs", header.Name, header.Size)
	}
	content, err := io.ReadAll(c.in)
	if err != nil {
		return damaged(err, c.entries)
	}
	if content, err = anonymous(content); err != nil {
		return refuse("its %s: %v", header.Name, err)
	}
	header.Size = int64(len(content))
	if err := c.out.WriteHeader(header); err != nil {
		return err
	}
	_, err = c.out.Write(content)
	return err
}

// anonymousManifest takes the tags out of a manifest.json, which must be that of one image.
func anonymousManifest(content []byte) ([]byte, error) {
	var images []map[string]any
	if err := json.Unmarshal(content, &images); err != nil {
		return nil, err
	}
	if len(images) != 1 || images[0] == nil {
		return nil, fmt.Errorf("it holds %d images, and a server runs one", len(slices.DeleteFunc(images, isNil)))
	}
	// Whoever reads it with Go's JSON, as Docker does, takes a key in any case.
	maps.DeleteFunc(images[0], func(key string, _ any) bool { return strings.EqualFold(key, "RepoTags") })
	images[0]["RepoTags"] = nil
	return json.Marshal(images)
}

func isNil(image map[string]any) bool { return image == nil }

// anonymousIndex takes the names out of an OCI index, which engines from 25 on write beside the manifest.
func anonymousIndex(content []byte) ([]byte, error) {
	var index map[string]any
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, err
	}
	forget(index)
	return json.Marshal(index)
}

// forget deletes names wherever they stand: the keys above them may be written in any case.
func forget(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "io.containerd.image.name")
		delete(v, "org.opencontainers.image.ref.name")
		for _, inner := range v {
			forget(inner)
		}
	case []any:
		for _, inner := range v {
			forget(inner)
		}
	}
}
