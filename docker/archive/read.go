package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"io"
	"path"
)

// Options select an image in an archive, and say how it is checked.
type Options struct {
	Name     string   // of the image, if there are several; empty if there is one
	Platform Platform // selects an image of an OCI index
	Limits   *Limits  // inspect each layer and enforce these; nil trusts the sender
	KeepTags bool     // Copy without tags keeps the image's own

	// Layers has the layers that an archive leaves out. An archive that leaves some out is refused where it is nil.
	Layers LayerSource

	// Accept, if not nil, is called before the last part of an image is written. An error from it stops the writing.
	Accept func(Contents) error

	// Inspected, if not nil, is called after each layer that the sink has received, where there are Limits.
	Inspected func(Layer)
}

// Sink receives the entries of an archive in order. It has to read each content to its end.
type Sink interface {
	// File receives what is not a layer: a directory, a link, a manifest or a configuration. Its content may be
	// empty.
	File(header *tar.Header, content io.Reader) error
	// Layer receives what may be a layer. Whether it is one is known when Read returns.
	Layer(header *tar.Header, content io.Reader) error
}

// DescriptionLimit is the largest manifest or configuration, in bytes. Registries have the same limit for manifests.
const DescriptionLimit = 4 << 20

const (
	descriptionsLimit = 32 << 20 // most bytes of JSON kept for one archive, which may have images for many platforms
	entriesLimit      = 1 << 14  // most entries; an image of 127 layers has about 500
)

// Read reads a Docker archive, or an OCI layout in a tar, and returns the image in it. The layers that the archive leaves
// out reach the sink last. It returns an *Error if the archive is invalid or incomplete. Errors of src, of o.Layers and
// of the sink are returned as they are. After an error, discard what the sink received.
func Read(src io.Reader, sink Sink, o Options) (Contents, error) {
	in, err := openArchive(src)
	if err != nil {
		return Contents{}, err
	}
	in = o.Limits.limitArchive(in)
	r := reader{in: tar.NewReader(in), sink: sink, limits: o.Limits, inspected: o.Inspected, paths: entryPaths{}, index: newIndex()}
	if err := r.read(); err != nil {
		return Contents{}, r.explainError(err)
	}
	if _, err = io.Copy(io.Discard, in); err != nil { // the padding of tar
		return Contents{}, readError(err, r.entries)
	}
	image, err := r.index.chooseImage(o)
	if err != nil {
		return Contents{}, r.explainError(err)
	}
	if err := r.readLeftOut(image, o.Layers); err != nil {
		return Contents{}, err
	}
	found, err := r.index.resolveLayers(image, o.Limits)
	return found, r.explainError(err)
}

// explainError replaces an *Error about a detail where the archive is not an image but the files of a system.
func (r *reader) explainError(err error) error {
	var invalid *Error
	if !errors.As(err, &invalid) || r.index.json["manifest.json"] != nil || r.index.json["index.json"] != nil || !r.paths.isRootfs() {
		return err
	}
	return refuse("it holds the files of a system, as 'docker export' writes them, and no image: 'docker save' writes one, and 'docker import' makes one of these files")
}

// Describe returns the image in an uncompressed archive. It does not read the layers, so they are not checked. Its
// errors are those of Read.
func Describe(src io.ReadSeeker, o Options) (Contents, error) {
	r := reader{in: tar.NewReader(src), sink: discardSink{}, paths: entryPaths{}, index: newIndex()}
	if err := r.read(); err != nil {
		return Contents{}, err
	}
	image, err := r.index.chooseImage(o)
	if err != nil {
		return Contents{}, err
	}
	if err := r.readLeftOut(image, unread{}); err != nil {
		return Contents{}, err
	}
	return r.index.resolveLayers(image, nil)
}

// unread is a LayerSource for who reads no layers.
type unread struct{}

func (unread) Has(LeftOut) (LayerSize, bool)       { return LayerSize{}, true }
func (unread) Open(LeftOut) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// discardSink is a Sink that reads nothing. The tar reader skips unread content.
type discardSink struct{}

func (discardSink) File(*tar.Header, io.Reader) error  { return nil }
func (discardSink) Layer(*tar.Header, io.Reader) error { return nil }

// reader reads an archive entry by entry, passes the entries to the sink and records them in the index.
type reader struct {
	in               *tar.Reader
	sink             Sink
	limits           *Limits
	inspected        func(Layer) // may be nil
	entries          int
	paths            entryPaths
	descriptionBytes int64
	index            index
}

func (r *reader) read() error {
	for {
		header, err := r.in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return readError(err, r.entries)
		}
		if r.entries++; r.entries > entriesLimit {
			return refuse("it has more than %d entries, more than any image needs", entriesLimit)
		}
		if header.Typeflag == tar.TypeXGlobalHeader { // a comment, as git archive writes it; Go's tar, which Docker uses, ignores it too
			continue
		}
		if err := checkEntry(header); err != nil {
			return err
		}
		if err := r.paths.add(header); err != nil {
			return err
		}
		if err := r.readEntry(header); err != nil {
			return err
		}
	}
}

func (r *reader) readEntry(header *tar.Header) error {
	name := path.Clean(header.Name)
	if header.Typeflag == tar.TypeSymlink || header.Typeflag == tar.TypeLink {
		r.index.links[name] = linkTarget(header)
	}
	if header.Typeflag != tar.TypeReg {
		return r.sink.File(header, bytes.NewReader(nil))
	}
	content := bufio.NewReaderSize(r.in, 64<<10)
	head, err := content.Peek(tarBlockSize)
	if err != nil && err != io.EOF {
		return readError(err, r.entries)
	}
	compression, err := Compression(content)
	if err != nil {
		return readError(err, r.entries)
	}
	if descriptionNames[name] || compression == "" && isDescription(head) {
		return r.readDescription(name, header, content)
	}
	if err := r.readLayer(name, header, content); err != nil {
		return readError(err, r.entries)
	}
	return nil
}

// descriptionNames are the fixed names of an archive's descriptions. Such an entry is never a layer, whatever its
// content. Other manifests and configurations may have any name: the content shows which entries may be one, and the
// description tells which is.
var descriptionNames = map[string]bool{listName: true, "manifest.json": true, "index.json": true, "oci-layout": true, "repositories": true}

// tarBlockSize is the size of the smallest tar, and so of the smallest layer, in bytes.
const tarBlockSize = 512

// isDescription reports whether an entry is JSON or too short for a layer. An empty file is no JSON; Docker reads it
// as an empty layer.
func isDescription(head []byte) bool {
	const magic = 257 // offset of tar's magic number
	if len(head) < tarBlockSize {
		return len(head) > 0
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[') && string(head[magic:magic+5]) != "ustar"
}

// readDescription keeps an entry that may be JSON. Its purpose is known at the end of the archive.
func (r *reader) readDescription(name string, header *tar.Header, content io.Reader) error {
	if r.descriptionBytes += header.Size; header.Size > DescriptionLimit || r.descriptionBytes > descriptionsLimit {
		return refuse("its %s has %d bytes, more than any image needs", header.Name, header.Size)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return readError(err, r.entries)
	}
	r.index.json[name] = text
	if name == listName {
		r.index.list = listEntry{text, r.entries}
	}
	return r.sink.File(header, bytes.NewReader(text))
}

// readLayer passes what may be a layer to the sink, and records what it is. Errors of the sink are returned as they are.
func (r *reader) readLayer(name string, header *tar.Header, content io.Reader) error {
	layer := Layer{Path: name, Size: header.Size}
	if r.limits == nil {
		r.index.layers[name] = layer
		return r.sink.Layer(header, content)
	}
	inspection := r.limits.startInspection()
	err := r.sink.Layer(header, io.TeeReader(content, inspection))
	layer.layerInfo, layer.refused = inspection.finish()
	layer.wasInspected = true
	r.index.layers[name] = layer
	if r.inspected != nil {
		r.inspected(layer)
	}
	if err == nil {
		err = r.limits.checkUnpacked()
	}
	return err
}
