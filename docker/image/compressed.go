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
func (s *Source) read(ctx context.Context) (io.ReadCloser, error) {
	from, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	u := &uncompressed{source: from}
	if s.checks.Layers != nil {
		u.limit = s.checks.Layers.Unpacked
	}
	return u, nil
}

// uncompressed unpacks an archive that is compressed as a whole. It leaves gzip to the archive's reader, which unpacks
// that itself. What is wrong with the compression is an *archive.Error.
type uncompressed struct {
	source io.ReadCloser
	limit  int64 // most bytes to unpack to; 0 for any

	plain   io.Reader // set at the first read: to look at a stream takes as long as its sender does
	method  string    // empty where it is not compressed
	n       int64
	failure error // of the source
	refused error // what it began with could not be unpacked
}

func (u *uncompressed) Close() error { return u.source.Close() }

// Read implements io.Reader.
func (u *uncompressed) Read(p []byte) (int, error) {
	if u.plain == nil && u.refused == nil {
		u.refused = u.explain(u.begin())
	}
	if u.refused != nil {
		return 0, u.refused
	}
	n, err := u.plain.Read(p)
	u.n += int64(n)
	if u.method != "" && u.limit > 0 && u.n > u.limit {
		return 0, &archive.Error{Reason: fmt.Sprintf("it unpacks to more than %d bytes, the most that is allowed (--max-unpacked)", u.limit)}
	}
	return n, u.explain(err)
}

func (u *uncompressed) begin() error {
	in := bufio.NewReaderSize(readerFunc(u.fromSource), 64<<10)
	head, err := in.Peek(len(bzip2Magic) + 4)
	if err != nil && err != io.EOF {
		return err
	}
	u.method = compression(string(head))
	switch u.method {
	case "zstd":
		u.plain, err = zstd.NewReader(in, zstd.WithDecoderMaxWindow(windowLimit), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
	case "xz":
		u.plain, err = xz.NewReader(in, windowLimit)
	case "bzip2":
		u.plain, err = bzip2.NewReader(in), nil
	default:
		u.plain, err = in, nil
	}
	return err
}

const bzip2Magic = "1AY&SY" // of a block, behind BZh and a digit

// compression tells it by an archive's first bytes.
func compression(head string) string {
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
func (u *uncompressed) fromSource(p []byte) (int, error) {
	n, err := u.source.Read(p)
	if err != nil && err != io.EOF {
		u.failure = err
	}
	return n, err
}

func (u *uncompressed) explain(err error) error {
	switch {
	case err == nil, u.method == "", err == io.EOF, err == io.ErrUnexpectedEOF: // which is said of any archive
		return err
	case u.failure != nil:
		return u.failure
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, xz.ErrMemlimit):
		return &archive.Error{Reason: fmt.Sprintf("unpacking its %s takes more than %d MiB of memory, the most that is allowed", u.method, windowLimit>>20)}
	}
	return &archive.Error{Reason: fmt.Sprintf("it is compressed with %s, and damaged or cut off: %v", u.method, err)}
}

// readerFunc is a function as a reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
