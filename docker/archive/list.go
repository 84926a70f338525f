package archive

import (
	"archive/tar"
	"io"
	"path"
)

// ReadList returns the layers that the list of an archive has, lowest first; those with an Image are left out. An archive
// that Read takes leaves out no others. Without a list there are none. ReadList reads the first entry only, and at most
// DescriptionLimit bytes of that. It returns an *Error for a list that cannot be read, and errors of src as they are.
func ReadList(src io.Reader) ([]StoredLayer, error) {
	from := &countingReader{from: src}
	layers, err := readList(from)
	if from.failed != nil { // a stream that breaks off is no archive that ends
		return nil, from.failed
	}
	return layers, err
}

// readList takes what is no archive for one without a list: Read does not take it either.
func readList(src io.Reader) ([]StoredLayer, error) {
	in, err := openArchive(src)
	if err != nil {
		return nil, nil
	}
	first := tar.NewReader(in)
	header, err := first.Next()
	if err != nil || path.Clean(header.Name) != listName || header.Typeflag != tar.TypeReg {
		return nil, nil
	}
	if err := checkEntry(header); err != nil {
		return nil, err
	}
	if header.Size > DescriptionLimit {
		return nil, refuse("its %s has %d bytes, more than any image needs", listName, header.Size)
	}
	text, err := io.ReadAll(first)
	if err != nil {
		return nil, readError(err, 0)
	}
	return parseList(text)
}
