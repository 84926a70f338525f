package archive

import (
	"archive/tar"
	"io"
)

// Limits of a layer that is inspected with little memory, in bytes.
const (
	frugalWindow = 8 << 20  // RFC 8878 has all decoders of zstd take as much, and the usual encoders write no more
	frugalHeader = 64 << 10 // of the headers of one file: the attributes in them become tables that are many times as large
)

// Memory that inspecting a layer with little of it takes at most, in bytes: as was measured, rounded up.
const (
	frugalMemory     = 1 << 20
	frugalMemoryZstd = frugalWindow + 3<<20
)

// FrugalMemory returns how many bytes of memory inspecting a layer with Limits.Frugal may take, by the first bytes of it: the
// most if these are fewer than four.
func FrugalMemory(head []byte) int64 {
	if len(head) < 4 || compressionOf(string(head[:4])) == "zstd" {
		return frugalMemoryZstd
	}
	return frugalMemory
}

// memory returns how many bytes of memory unpacking a layer may take.
func (l *Limits) memory() uint64 {
	if l.Frugal {
		return frugalWindow
	}
	return unpackMemory
}

// headerReader reads a tar, and refuses headers that are too long.
type headerReader struct {
	from    io.Reader
	bounded bool
	left    int // bytes that the headers of a file may still have
}

// Read implements io.Reader.
func (h *headerReader) Read(p []byte) (int, error) {
	if h.bounded {
		if h.left <= 0 {
			return 0, refuse("has a file with headers of more than %d bytes", frugalHeader)
		}
		p = p[:min(len(p), h.left)]
	}
	n, err := h.from.Read(p)
	h.left -= n
	return n, err
}

// next returns the header of the next file. With little memory it reads what is left of the file before, so that all that is
// then read is headers.
func (l *Limits) next(files *tar.Reader, from *headerReader) (*tar.Header, error) {
	if !l.Frugal {
		return files.Next()
	}
	if _, err := io.Copy(io.Discard, files); err != nil {
		return nil, err
	}
	from.bounded, from.left = true, frugalHeader
	header, err := files.Next()
	from.bounded = false
	if err == nil && (isSparse(header) || header.Typeflag == tar.TypeGNUSparse) {
		return nil, refuse("has a sparse file, %q, whose size nobody has to send", header.Name)
	}
	return header, err
}
