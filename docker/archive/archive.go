// Package archive reads, checks and rewrites image archives: a Docker archive (what `docker save` writes) or an OCI
// layout in a tar. It reads the stream once and keeps only manifests and configurations in memory. What it writes has
// only what an engine needs, and none of the maker's names: a name in an archive must not move a name that the host
// uses.
//
// An archive may be hostile, to the engine and to other users of the host. What is checked must therefore be what is
// passed on: names occur once, JSON has one meaning, and each layer is unpacked and hashed here.
package archive

import (
	"archive/tar"
	"bufio"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Error says why a stream is not a loadable image archive. The text is for the owner of the image.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

// reasonLimit is the largest reason, in bytes. Names in an archive may have a MiB each.
const reasonLimit = 2000

// refuse returns an *Error with this reason.
func refuse(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if len(reason) > reasonLimit {
		reason = strings.ToValidUTF8(reason[:reasonLimit], "") + "…"
	}
	return &Error{reason}
}

// openArchive returns the tar in src. It decompresses gzip. It returns an *Error for what is not an archive.
func openArchive(src io.Reader) (io.Reader, error) {
	in, magic, err := sniff(src)
	if err != nil || !strings.HasPrefix(magic, "\x1f\x8b") {
		return in, err
	}
	unpacked, err := gzip.NewReader(in)
	switch {
	case errors.Is(err, gzip.ErrHeader), err == io.EOF, err == io.ErrUnexpectedEOF:
		return nil, refuse("it is compressed, but not as gzip does it: %v", err)
	case err != nil:
		return nil, err
	}
	in, magic, err = sniff(unpacked)
	if err == nil && compressionOf(magic) == "gzip" {
		return nil, refuse("it is compressed with gzip twice: unpack it once")
	}
	return in, err
}

// sniff returns a buffered reader of src and the first four bytes. It returns an *Error for what cannot be an
// archive.
func sniff(src io.Reader) (*bufio.Reader, string, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	magic, err := in.Peek(4)
	head, _ := in.Peek(longestMagic)
	if kind := nonArchiveKind(head); kind != "" {
		return nil, "", refuse("it is %s, not a Docker archive", kind)
	}
	switch {
	case len(magic) == 0 && err == io.EOF:
		return nil, "", refuse("it is empty")
	case err != nil && err != io.EOF:
		return nil, "", readError(err, 0)
	}
	method := compressionOf(string(magic))
	if head, err := in.Peek(tarBlockSize); method == "" && err == io.EOF {
		return nil, "", refuse("it is no tar archive, or cut off: it has but %d bytes", len(head))
	}
	if method != "" && method != "gzip" {
		return nil, "", refuse("it is compressed with %s as a whole; a node reads archives that are plain or compressed with gzip, and 'ndock image push-glance' unpacks the others on the way", method)
	}
	return in, string(magic), nil
}

// nonArchiveKinds lists what users pass as an archive by mistake, by its first bytes.
var nonArchiveKinds = []struct{ magic, kind string }{
	{"QFI\xfb", "a qcow2 disk image"},
	{"PK\x03\x04", "a zip file"},
	{"<!doctype html", "a web page"},
	{"<html", "a web page"},
	{"version https://git-lfs", "a pointer of Git LFS to a file, which 'git lfs pull' fetches"},
}

// longestMagic is the length of the longest entry above, in bytes. Every archive is longer.
const longestMagic = 32

// nonArchiveKind names the kind of a stream that is not an archive. It returns "" for all others.
func nonArchiveKind(head []byte) string {
	for _, one := range nonArchiveKinds {
		if len(head) >= len(one.magic) && strings.EqualFold(string(head[:len(one.magic)]), one.magic) {
			return one.kind
		}
	}
	return ""
}

// readError explains a read error. A stream that is not a tar, is cut off or is damaged gives an *Error; an error of
// the source is returned as it is. An error of the source may wrap io.EOF, as that of a connection without an answer
// does. Only io.EOF itself is an end of the stream.
func readError(err error, entries int) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == io.ErrUnexpectedEOF:
		return refuse("it is cut off: it ends in the middle of its entry %d", entries+1)
	case errors.Is(err, tar.ErrHeader) && entries == 0:
		return refuse("it is no tar archive")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return refuse("it is damaged after its entry %d", entries)
	}
	return err
}

// checkEntry refuses an entry that could land outside the archive's directory, or on another entry.
func checkEntry(header *tar.Header) error {
	if err := checkName(header.Name); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink, tar.TypeLink:
		if err := checkLink(header); err != nil {
			return err
		}
	default:
		return refuse("its entry %q is neither a file nor a directory", header.Name)
	}
	if isSparse(header) {
		return refuse("its entry %q is a sparse file, which may be of any size without being sent", header.Name)
	}
	if path.IsAbs(header.Name) || escapes(header.Name) {
		return refuse("its path %q leads out of it", header.Name)
	}
	if slices.Contains(strings.Split(path.Dir(path.Clean(header.Name)), "/"), legacyLayerName) {
		return refuse("its path %q may lead through a link", header.Name)
	}
	return nil
}

// checkLink refuses a link that leads out of the archive, and a link in place of a manifest. Older engines and podman
// write symbolic links for layers that occur twice; tar writes hard links. No link is followed on a disk: it is only
// another name of a layer.
func checkLink(header *tar.Header) error {
	if err := checkName(header.Linkname); err != nil {
		return err
	}
	if descriptionNames[path.Clean(header.Name)] {
		return refuse("its link %q is not one to a layer", header.Name)
	}
	if target := linkTarget(header); escapes(target) || path.IsAbs(header.Linkname) {
		return refuse("its link %q leads out of it, to %q", header.Name, header.Linkname)
	}
	return nil
}

// linkTarget returns the path in the archive that a link leads to. A symbolic link starts from its own directory, a
// hard link from the root of the archive.
func linkTarget(header *tar.Header) string {
	if header.Typeflag == tar.TypeLink {
		return path.Clean(header.Linkname)
	}
	return path.Join(path.Dir(path.Clean(header.Name)), header.Linkname)
}

// legacyLayerName is the name of the links that engines write. No directory may have it.
const legacyLayerName = "layer.tar"

// Limits of names in an archive. Those of docker save have about 75 bytes and three components.
const (
	nameLimit      = 1024
	componentLimit = 32
)

// checkName refuses names that no tool writes.
func checkName(name string) error {
	switch {
	case len(name) > nameLimit:
		return refuse("its entry %.40q… has a name of %d bytes; at most %d are allowed", name, len(name), nameLimit)
	case strings.HasPrefix(name, bzip2Magic): // Docker takes a tar that begins with this for bzip2
		return refuse("its entry %.80q has the name of a bzip2 file", name)
	case strings.Count(path.Clean(name), "/") >= componentLimit:
		return refuse("its entry %.40q… lies more than %d directories deep", name, componentLimit)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }):
		return refuse("its entry %.80q has characters in its name other than printable ASCII", name)
	}
	return nil
}

// entryPaths are the paths of an archive so far. The value is true for a directory.
type entryPaths map[string]bool

// add records a path. It refuses one that would replace another when the archive is unpacked. Only directories may
// occur again.
func (p entryPaths) add(header *tar.Header) error {
	name, directory := path.Clean(header.Name), header.Typeflag == tar.TypeDir
	if isDirectory, taken := p[name]; taken && !(directory && isDirectory) {
		return refuse("it has two entries %q", name)
	}
	p[name] = directory
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if isDirectory, taken := p[parent]; taken && !isDirectory {
			return refuse("its entry %q lies below %q, which is no directory", name, parent)
		}
		p[parent] = true
	}
	return nil
}

// isRootfs reports whether these paths are the files of a system, as docker export writes them, and not an image.
func (p entryPaths) isRootfs() bool {
	if _, exported := p[".dockerenv"]; exported {
		return true
	}
	n := 0
	for _, name := range []string{"bin", "dev", "etc", "lib", "proc", "sys", "usr", "var"} {
		if _, ok := p[name]; ok {
			n++
		}
	}
	return n > 1
}

// escapes reports whether a relative path leads out of its directory.
func escapes(name string) bool {
	clean := path.Clean(name)
	return clean == ".." || strings.HasPrefix(clean, "../")
}
