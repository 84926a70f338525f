package archive

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Compression detects the compression of a layer by its first bytes: gzip, zstd, xz, bzip2, or "" for none.
func Compression(layer *bufio.Reader) (string, error) {
	magic, err := layer.Peek(4)
	if err != nil && err != io.EOF {
		return "", err
	}
	return compressionOf(string(magic)), nil
}

const bzip2Magic = "BZh"

// compressionOf detects a compression by its first four bytes, as Docker does.
func compressionOf(magic string) string {
	switch {
	case strings.HasPrefix(magic, "\x1f\x8b"):
		return "gzip"
	case magic == "\x28\xb5\x2f\xfd":
		return "zstd"
	case magic == "\xfd7zX":
		return "xz"
	case strings.HasPrefix(magic, bzip2Magic):
		return "bzip2"
	}
	return ""
}

// rejectSkippableFrame refuses a zstd frame without content. Docker would unpack it and this package would not: the
// first name of a tar may begin with the same bytes.
func rejectSkippableFrame(magic string) error {
	if strings.HasSuffix(magic, "\x2a\x4d\x18") && magic[0]&0xf0 == 0x50 { // the magic number of a skippable frame
		return refuse("begins with a frame of zstd that has nothing in it")
	}
	return nil
}

// unpackMemory is the most memory for unpacking a layer in xz or zstd, in bytes. 'xz -9' needs that much.
const unpackMemory = 64 << 20

// decompress returns the uncompressed layer and the name of its compression.
func decompress(src io.Reader) (io.ReadCloser, string, error) {
	return decompressWithin(src, unpackMemory)
}

// decompressWithin is decompress with so many bytes of memory for what the compression looks back at.
func decompressWithin(src io.Reader, memory uint64) (io.ReadCloser, string, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	compression, err := Compression(in)
	if err == nil {
		magic, _ := in.Peek(4)
		err = rejectSkippableFrame(string(magic))
	}
	switch {
	case err != nil:
		return nil, "", err
	case compression == "gzip":
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, "", refuse("is damaged: %v", err)
		}
		return unpacked, compression, nil
	case compression == "zstd":
		unpacked, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(memory), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, "", refuse("is damaged: %v", err)
		}
		return unpacked.IOReadCloser(), compression, nil
	case compression == "xz" && memory < unpackMemory, compression == "bzip2" && memory < unpackMemory:
		return nil, "", refuse("is packed with %s, which takes much memory to unpack", compression)
	case compression == "xz":
		unpacked, err := xz.NewReader(in, unpackMemory)
		if err != nil {
			return nil, "", refuse("is damaged: %v", err)
		}
		return io.NopCloser(unpacked), compression, nil
	case compression == "bzip2":
		return io.NopCloser(bzip2.NewReader(in)), compression, nil
	}
	return io.NopCloser(in), "", nil
}

// Spool decompresses a layer into an unnamed temporary file and returns it with its size in bytes, which a tar states
// before the content. The caller closes the file, which removes it. Spool returns an *Error for a layer that is
// damaged or beyond the limits.
func (l Limits) Spool(layer io.Reader) (*os.File, int64, error) {
	packed := &countingReader{from: layer}
	content, _, err := decompress(packed)
	switch {
	case packed.failed != nil:
		return nil, 0, packed.failed
	case err != nil:
		return nil, 0, refuse("a layer of it %v", explainLayer(err))
	}
	defer content.Close()
	file, err := os.CreateTemp("", "ndock-layer-")
	if err != nil {
		return nil, 0, err
	}
	os.Remove(file.Name())
	plain := &countingReader{from: content, check: func(n int64) error { return l.checkRatio(n, packed.n) }}
	size, err := io.Copy(file, plain)
	switch {
	case packed.failed != nil:
		err = packed.failed
	case plain.failed != nil:
		err = refuse("a layer of it %v", explainLayer(plain.failed))
	case err == nil:
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, size, nil
}

// LayerReader returns the uncompressed layer, whatever compression it has.
func LayerReader(src io.Reader) (io.ReadCloser, error) {
	unpacked, _, err := decompress(src)
	return unpacked, err
}

// countingReader counts the bytes that are read. check, if not nil, may stop the reading.
type countingReader struct {
	from   io.Reader
	n      int64
	check  func(n int64) error
	failed error // the error that ended the reading, other than io.EOF
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	if c.check != nil && err == nil {
		err = c.check(c.n)
	}
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}
