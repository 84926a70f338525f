package archive

import (
	"archive/tar"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Section is where a blob stands in an archive that is not compressed: so many bytes from an offset on. The digest is the
// archive's word: who reads the bytes verifies them.
type Section struct {
	Digest       digest.Digest
	Offset, Size int64
	Top          bool // the manifest of what hosts boot: the only one that its index.json names
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
	var top topReader
	seen := map[digest.Digest]bool{}
	for entries := 0; ; entries++ {
		header, err := in.Next()
		if err == io.EOF {
			return top.mark(sections), nil
		}
		if err != nil {
			return nil, readError(err, entries)
		}
		if entries == sectionsLimit {
			return nil, refuse("it has more than %d entries", sectionsLimit)
		}
		if err := top.read(header, in, entries); err != nil {
			return nil, err
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

// topReader finds out which manifest an archive is of. Hosts take manifest.json and index.json for the same image only where
// the list comes first (checkIndex).
type topReader struct {
	listed, indexed bool
	named           digest.Digest
}

func (t *topReader) read(header *tar.Header, content io.Reader, entry int) error {
	name := path.Clean(header.Name)
	t.listed = t.listed || entry == 0 && name == listName && header.Typeflag == tar.TypeReg
	if name != ocispec.ImageIndexFile {
		return nil
	}
	if t.indexed || header.Size > DescriptionLimit {
		return refuse("it has two entries %q, or one of %d bytes", name, header.Size)
	}
	t.indexed = true
	text, err := io.ReadAll(content)
	if err != nil {
		return readError(err, entry)
	}
	var found ocispec.Index
	if parseJSON(text, &found) == nil && len(found.Manifests) == 1 {
		t.named = found.Manifests[0].Digest
	}
	return nil
}

func (t *topReader) mark(sections []Section) []Section {
	for i := range sections {
		sections[i].Top = t.listed && sections[i].Digest == t.named
	}
	return sections
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
