package archive

import (
	"archive/tar"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Section is where a blob stands in an archive that is not compressed: so many bytes from an offset on. The digest is the
// archive's word: who reads the bytes verifies them.
type Section struct {
	Digest       digest.Digest
	Offset, Size int64
}

// Limits of an archive whose sections are looked for. It is one that ComposeBundle or Compose has written.
const (
	sectionsLimit = 10_000   // entries
	sectionsBytes = 64 << 20 // bytes
)

// ReadSections returns where the blobs of an archive stand, in order. Blobs are regular files with the name of a digest, as in
// an OCI layout. It reads to the end of the tar. It returns an *Error for what is no tar, or too large, and errors of src
// as they are.
func ReadSections(src io.Reader) ([]Section, error) {
	source := &countingReader{from: src}
	sections, err := readSections(source)
	if source.failed != nil { // a stream that breaks off is no archive that ends
		return nil, source.failed
	}
	return sections, err
}

func readSections(src io.Reader) ([]Section, error) {
	from := &countingReader{from: src, check: checkSectionsBytes} // a tar reader reads no byte ahead
	in := tar.NewReader(from)
	var sections []Section
	seen := map[digest.Digest]bool{}
	for entries := 0; ; entries++ {
		header, err := in.Next()
		if err == io.EOF {
			return sections, nil
		}
		if err != nil {
			return nil, readError(err, entries)
		}
		if entries == sectionsLimit {
			return nil, refuse("it has more than %d entries", sectionsLimit)
		}
		name, ok := sectionDigest(header)
		if !ok {
			continue
		}
		if seen[name] {
			return nil, refuse("it has two entries %q", header.Name)
		}
		seen[name] = true
		sections = append(sections, Section{Digest: name, Offset: from.n, Size: header.Size})
	}
}

// sectionDigest returns the digest that names an entry. It returns false for one that is no blob, or whose bytes do not stand
// in the tar as they are: a sparse file leaves out its holes.
func sectionDigest(header *tar.Header) (digest.Digest, bool) {
	name := path.Clean(header.Name)
	if header.Typeflag != tar.TypeReg || isSparse(header) || !blobName.MatchString(name) {
		return "", false
	}
	return digest.NewDigestFromEncoded(digest.SHA256, path.Base(name)), true
}

func isSparse(header *tar.Header) bool {
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func checkSectionsBytes(n int64) error {
	if n > sectionsBytes {
		return refuse("it has more than %d bytes, and this one is read whole only where its layers are left out", sectionsBytes)
	}
	return nil
}
