package image

import (
	"bufio"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"ndock/docker/archive"
)

// windowLimit is the most memory that an archive may need to be unpacked, in bytes: what 'zstd --ultra -22' takes, and
// twice what 'xz -9' does.
const windowLimit = 128 << 20

// read opens the image's bytes. An archive may be compressed as a whole.
func (s *Source) openStream(ctx context.Context) (io.ReadCloser, error) {
	from, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	u := &decompressor{source: from}
	if s.options.Limits != nil {
		u.limit = s.options.Limits.Unpacked
	}
	return u, nil
}

// uncompressed unpacks an archive that is compressed as a whole. It leaves gzip to the archive's reader, which unpacks
// that itself. What is wrong with the compression is an *archive.Error.
type decompressor struct {
	source io.ReadCloser
	limit  int64 // most bytes to unpack to; 0 for any

	plain     io.Reader // set at the first read: to look at a stream takes as long as its sender does
	method    string    // empty where it is not compressed
	n         int64
	sourceErr error // of the source
	formatErr error // what it began with could not be unpacked
}

func (d *decompressor) Close() error { return d.source.Close() }

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	if d.plain == nil && d.formatErr == nil {
		d.formatErr = d.explainError(d.start())
	}
	if d.formatErr != nil {
		return 0, d.formatErr
	}
	n, err := d.plain.Read(p)
	d.n += int64(n)
	if d.method != "" && d.limit > 0 && d.n > d.limit {
		return 0, &archive.Error{Reason: fmt.Sprintf("it unpacks to more than %d bytes, the most that is allowed (--max-unpacked)", d.limit)}
	}
	return n, d.explainError(err)
}

func (d *decompressor) start() error {
	in := bufio.NewReaderSize(readerFunc(d.readSource), 64<<10)
	head, err := in.Peek(len(bzip2Magic) + 4)
	if err != nil && err != io.EOF {
		return err
	}
	d.method = detectCompression(string(head))
	switch d.method {
	case "zstd":
		d.plain, err = zstd.NewReader(in, zstd.WithDecoderMaxWindow(windowLimit), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
	case "xz":
		d.plain, err = xz.NewReader(in, windowLimit)
	case "bzip2":
		d.plain, err = bzip2.NewReader(in), nil
	default:
		d.plain, err = in, nil
	}
	return err
}

const bzip2Magic = "1AY&SY" // of a block, behind BZh and a digit

// compression tells it by an archive's first bytes.
func detectCompression(head string) string {
	switch {
	case strings.HasPrefix(head, "\x28\xb5\x2f\xfd"), len(head) > 4 && head[0]&0xf0 == 0x50 && head[1:4] == "\x2a\x4d\x18": // a skippable frame
		return "zstd"
	case strings.HasPrefix(head, "\xfd7zXZ\x00"):
		return "xz"
	case strings.HasPrefix(head, "BZh") && len(head) == 10 && head[4:] == bzip2Magic:
		return "bzip2"
	}
	return ""
}

// fromSource tells a source that fails from one that is damaged.
func (d *decompressor) readSource(p []byte) (int, error) {
	n, err := d.source.Read(p)
	if err != nil && err != io.EOF {
		d.sourceErr = err
	}
	return n, err
}

func (d *decompressor) explainError(err error) error {
	switch {
	case err == nil, d.method == "", err == io.EOF, err == io.ErrUnexpectedEOF: // which is said of any archive
		return err
	case d.sourceErr != nil:
		return d.sourceErr
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return &archive.Error{Reason: fmt.Sprintf("unpacking its %s takes more than %d MiB of memory, the most that is allowed", d.method, windowLimit>>20)}
	}
	return &archive.Error{Reason: fmt.Sprintf("it is compressed with %s, and damaged or cut off: %v", d.method, err)}
}

// readerFunc is a function as a reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
