package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"path"
)

// Copy writes to dst, as a Docker archive, the image that src has in it, which may be an OCI layout in a tar. The names
// in it are replaced by these, and dropped where there are none. See Read for its errors.
func Copy(dst io.Writer, src io.Reader, tags []string, o Options) (Contents, error) {
	w := &writer{out: tar.NewWriter(dst), choose: o.Choose, tags: tags}
	if o.Layers != nil {
		w.limits = *o.Layers
	}
	contents, err := Read(src, w, o)
	if err != nil {
		return Contents{}, err
	}
	if err := w.loadable(contents); err != nil {
		return Contents{}, err
	}
	if !contents.Docker {
		if err := w.manifest(contents); err != nil {
			return Contents{}, err
		}
	}
	return contents, w.out.Close()
}

// loadable refuses what Docker Engine before 23 could not unpack.
func (w *writer) loadable(c Contents) error {
	for i, layer := range c.Layers {
		if layer.Compression == "zstd" && !w.unpacked {
			return refuse("its layer %d is packed with zstd, which Docker Engine reads from 23 on, and stands after what says so; as an OCI layout (oci:DIR) it is unpacked on the way", i+1)
		}
	}
	return nil
}

// writer is a sink that writes a tar.
type writer struct {
	out    *tar.Writer
	choose string
	tags   []string
	limits Limits

	indexed  bool // what makes it an OCI layout was written, and that goes by how layers are packed
	unpacked bool // a layer was unpacked: an index would not find it
}

func (w *writer) Layer(header *tar.Header, content io.Reader) error {
	head := bufio.NewReaderSize(content, 64<<10)
	compression, err := Compression(head)
	if err != nil {
		return err
	}
	if compression == "zstd" && !w.indexed {
		return w.unpack(header, head)
	}
	return w.write(header, head)
}

// unpack writes a layer that engines before 23 cannot read.
func (w *writer) unpack(header *tar.Header, packed io.Reader) error {
	w.unpacked = true
	plain, size, err := w.limits.Spool(packed)
	if err != nil {
		return err
	}
	defer plain.Close()
	renewed := *header
	renewed.Size = size
	return w.write(&renewed, plain)
}

func (w *writer) write(header *tar.Header, content io.Reader) error {
	if err := w.out.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(w.out, content)
	return err
}

func (w *writer) File(header *tar.Header, content io.Reader) error {
	switch name := path.Clean(header.Name); {
	case name == "repositories", w.unpacked && (name == "index.json" || name == "oci-layout"):
		return nil
	case name == "manifest.json":
		return w.rewrite(header, content, w.renamed)
	case name == "index.json":
		w.indexed = true
		return w.rewrite(header, content, anonymousIndex)
	case name == "oci-layout":
		w.indexed = true
	}
	return w.write(header, content)
}

func (w *writer) rewrite(header *tar.Header, content io.Reader, change func([]byte) ([]byte, error)) error {
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if text, err = change(text); err != nil {
		return refuse("its %s: %v", header.Name, err)
	}
	renewed := *header
	renewed.Size = int64(len(text))
	return w.write(&renewed, bytes.NewReader(text))
}

// renamed is a manifest.json of the chosen image alone, with our names.
func (w *writer) renamed(text []byte) ([]byte, error) {
	var images []manifest
	if err := json.Unmarshal(text, &images); err != nil {
		return nil, err
	}
	chosen, err := chooseTagged(images, w.choose)
	if err != nil {
		return nil, err
	}
	chosen.RepoTags = w.tags
	return json.Marshal([]manifest{chosen})
}

// manifest ends what was an OCI layout with what Docker looks for.
func (w *writer) manifest(contents Contents) error {
	image := manifest{Config: blobPath(contents.ID), RepoTags: w.tags}
	for _, layer := range contents.Layers {
		image.Layers = append(image.Layers, layer.Path)
	}
	text, err := json.Marshal([]manifest{image})
	if err != nil {
		return err
	}
	return w.write(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}, bytes.NewReader(text))
}
