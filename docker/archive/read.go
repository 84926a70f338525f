package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Options say what to look for in an archive, and how closely.
type Options struct {
	Name   string   // which image of several, by its name; empty where there is one
	Platform Platform // which of an OCI index
	Limits   *Limits  // look into each layer, and refuse what is beyond this; nil where its sender has done so
	KeepTags bool     // a copy that is given no names keeps those that the image has

	// Accept, if not nil, is asked before an image is written to its end. Its error ends the writing.
	Accept func(Contents) error
}

// Platform is a system that an image is for, in Go's names, which Docker and OCI use.
type Platform struct{ OS, Architecture, Variant string }

// ParsePlatform reads OS/ARCH or OS/ARCH/VARIANT.
func ParsePlatform(text string) (Platform, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts[:2], "") {
		return Platform{}, fmt.Errorf("%q is not OS/ARCH or OS/ARCH/VARIANT", text)
	}
	return Platform{OS: parts[0], Architecture: parts[1], Variant: strings.Join(parts[2:], "")}, nil
}

// Sink takes what is in an archive, as it flows by. The content is to be read to its end.
type Sink interface {
	// File takes what is no layer: a directory, a link, a manifest, a configuration. It may be nil.
	File(header *tar.Header, content io.Reader) error
	// Layer takes what may be a layer. Whether it is, is known when Read returns.
	Layer(header *tar.Header, content io.Reader) error
}

// DescriptionLimit is the most bytes of a manifest or a configuration. Registries take no larger manifest either.
const DescriptionLimit = 4 << 20

const (
	descriptionsLimit    = 16 << 20 // most bytes of JSON that are kept, of all the archive
	entriesLimit = 1 << 14  // most entries; an image of 127 layers has some 500
)

// Read goes through a Docker archive, or an OCI layout in a tar, and says which image is in it. It returns an *Error
// for what is none or is not whole, and other errors as they come from src and the sink. What the sink was given until
// then is worthless.
func Read(src io.Reader, sink Sink, o Options) (Contents, error) {
	in, err := openArchive(src)
	if err != nil {
		return Contents{}, err
	}
	in = o.Limits.limitArchive(in)
	r := reader{in: tar.NewReader(in), sink: sink, limits: o.Limits, paths: entryPaths{}, index: newIndex()}
	if err := r.read(); err != nil {
		return Contents{}, r.explainError(err)
	}
	if _, err = io.Copy(io.Discard, in); err != nil { // tar's padding
		return Contents{}, readError(err, r.entries)
	}
	found, err := r.index.resolve(o)
	return found, r.explainError(err)
}

// explain says of what was refused for a detail that it is no image at all, but the files of one.
func (r *reader) explainError(err error) error {
	var refused *Error
	if !errors.As(err, &refused) || r.index.json["manifest.json"] != nil || r.index.json["index.json"] != nil || !r.paths.isRootfs() {
		return err
	}
	return refuse("it holds the files of a system, as 'docker export' writes them, and no image: 'docker save' writes one, and 'docker import' makes one of these files")
}

// Describe says which image is in an archive that is not compressed, without reading its layers, in which anything may be.
func Describe(src io.ReadSeeker, o Options) (Contents, error) {
	o.Limits = nil
	r := reader{in: tar.NewReader(src), sink: discardSink{}, paths: entryPaths{}, index: newIndex()}
	if err := r.read(); err != nil {
		return Contents{}, err
	}
	return r.index.resolve(o)
}

// passer is a sink that looks at nothing. Of a file, what is not read is passed over.
type discardSink struct{}

func (discardSink) File(*tar.Header, io.Reader) error  { return nil }
func (discardSink) Layer(*tar.Header, io.Reader) error { return nil }

type reader struct {
	in      *tar.Reader
	sink    Sink
	limits  *Limits
	entries int
	paths   entryPaths
	descriptionBytes    int64
	index   index
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
		if header.Typeflag == tar.TypeXGlobalHeader { // a comment, as of git archive; Go's tar, which Docker uses, ignores it too
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
	return r.readLayer(name, header, content)
}

// described are the names of what describes an archive. Such an entry is never a layer, whatever it begins with. Of the
// others, manifests and configurations have any name: what an entry looks like tells which of them it can be, and the
// description, which of them it is.
var descriptionNames = map[string]bool{"manifest.json": true, "index.json": true, "oci-layout": true, "repositories": true}

// tarBlock is the least that a tar has, and so a layer, in bytes.
const tarBlockSize = 512

// describes tells JSON, and what is too short for a layer, from what may be one. A file of no bytes may be an empty layer,
// as Docker has it, and is no JSON.
func isDescription(head []byte) bool {
	const magic = 257 // where a tar says that it is one
	if len(head) < tarBlockSize {
		return len(head) > 0
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[') && string(head[magic:magic+5]) != "ustar"
}

// description keeps what may be JSON, until it is known what for.
func (r *reader) readDescription(name string, header *tar.Header, content io.Reader) error {
	if r.descriptionBytes += header.Size; header.Size > DescriptionLimit || r.descriptionBytes > descriptionsLimit {
		return refuse("its %s has %d bytes, more than any image needs", header.Name, header.Size)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return readError(err, r.entries)
	}
	r.index.json[name] = text
	return r.sink.File(header, bytes.NewReader(text))
}

func (r *reader) readLayer(name string, header *tar.Header, content io.Reader) error {
	layer := Layer{Path: name, Size: header.Size}
	if r.limits == nil {
		r.index.layers[name] = layer
		return r.layerReadError(r.sink.Layer(header, content))
	}
	inspection := r.limits.startInspection()
	err := r.sink.Layer(header, io.TeeReader(content, inspection))
	layer.layerInfo, layer.refused = inspection.finish()
	layer.wasInspected = true
	r.index.layers[name] = layer
	return r.layerReadError(err)
}

// broken tells a source that broke off from a sink that did not take what it was given.
func (r *reader) layerReadError(err error) error {
	if err == nil {
		return nil
	}
	return readError(err, r.entries)
}
