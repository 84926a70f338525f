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

// windowLimit is the most memory that decompressing an archive may take, in bytes. 'zstd --ultra -22' needs that
// much, 'xz -9' half of it.
const windowLimit = 128 << 20

// openStream opens the image's bytes. It decompresses an archive that is compressed as a whole.
func (s *Source) openStream(ctx context.Context) (io.ReadCloser, error) {
	from, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	d := &decompressor{source: from}
	if s.options.Limits != nil {
		d.limit = s.options.Limits.Unpacked
	}
	return d, nil
}

// decompressor decompresses an archive in zstd, xz or bzip2. It leaves gzip to the archive's reader. Damaged data
// gives an *archive.Error; an error of the source is returned as it is.
type decompressor struct {
	source io.ReadCloser
	limit  int64 // most bytes to decompress to; 0 for no limit

	plain     io.Reader // set by the first Read, because reading the first bytes may block
	method    string    // empty if not compressed
	n         int64
	sourceErr error // error of the source
	formatErr error // why the stream could not be opened
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

const bzip2Magic = "1AY&SY" // of a block, after BZh and a digit

// detectCompression detects zstd, xz and bzip2 by an archive's first bytes. It returns "" for all else.
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

// readSource reads from the source and keeps its error, so that a failed source is not taken for a damaged archive.
func (d *decompressor) readSource(p []byte) (int, error) {
	n, err := d.source.Read(p)
	if err != nil && err != io.EOF {
		d.sourceErr = err
	}
	return n, err
}

func (d *decompressor) explainError(err error) error {
	switch {
	case err == nil, d.method == "", err == io.EOF, err == io.ErrUnexpectedEOF: // the archive's reader explains these
		return err
	case d.sourceErr != nil:
		return d.sourceErr
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return &archive.Error{Reason: fmt.Sprintf("unpacking its %s takes more than %d MiB of memory, the most that is allowed", d.method, windowLimit>>20)}
	}
	return &archive.Error{Reason: fmt.Sprintf("it is compressed with %s, and damaged or cut off: %v", d.method, err)}
}

// readerFunc makes a function an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
