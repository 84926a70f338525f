package layerfiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/tar/storage"
)

// Open returns the layer's plain tar. It ends with an error where that is not the one of the diff id, so only who reads it
// to its end has the layer.
func (l Layer) Open(ctx context.Context) (io.ReadCloser, error) {
	described, err := l.store.open(l.records)
	if err != nil {
		return nil, err
	}
	all, err := newRecords(described)
	if err != nil {
		return nil, errors.Join(err, described.Close())
	}
	files, err := l.openDiff()
	if err != nil {
		return nil, errors.Join(err, described.Close())
	}
	return &reader{
		ctx: ctx, records: all, described: described, files: files,
		verifier: l.DiffID.Verifier(), diffID: l.DiffID, part: bytes.NewReader(nil),
	}, nil
}

func (l Layer) openDiff() (*os.Root, error) {
	root, err := os.OpenRoot(l.store.root)
	if err != nil {
		return nil, notHere(err)
	}
	defer root.Close()
	files, err := root.OpenRoot(l.diff)
	return files, notHere(err)
}

// reader puts a layer's tar together, one record after the other.
type reader struct {
	ctx       context.Context
	records   *records
	described io.Closer
	files     *os.Root // the layer's directory
	file      *os.File // the one that is read; nil for none
	part      io.Reader
	missing   int64 // bytes of the file that were not read yet
	verifier  digest.Verifier
	diffID    digest.Digest
	err       error // the end
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for r.err == nil && len(p) > 0 {
		if r.err = r.ctx.Err(); r.err != nil {
			break
		}
		n, err := r.part.Read(p)
		if n > 0 {
			r.missing -= int64(n)
			_, _ = r.verifier.Write(p[:n]) // a hash takes everything
			return n, nil
		}
		if err == io.EOF {
			err = r.next()
		}
		r.err = err
	}
	return 0, r.err
}

// next goes on to the next part, or returns io.EOF after the last, if all of them are the layer.
func (r *reader) next() error {
	if err := r.endFile(); err != nil {
		return err
	}
	one, err := r.records.next()
	switch {
	case err == io.EOF && !r.verifier.Verified():
		return fmt.Errorf("layer %s is damaged in Docker Engine's files: they give another tar", r.diffID)
	case err != nil:
		return err
	case one.Type == storage.SegmentType:
		r.part, r.missing = bytes.NewReader(one.Payload), int64(len(one.Payload))
		return nil
	case one.Size == 0: // also what is no regular file
		return nil
	}
	if r.file, err = openFile(r.files, inside(one.GetName())); err != nil {
		return fmt.Errorf("layer %s: %w", r.diffID, err)
	}
	r.part, r.missing = io.LimitReader(r.file, one.Size), one.Size
	return nil
}

// endFile closes a file that was read.
func (r *reader) endFile() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	if r.missing > 0 {
		err = fmt.Errorf("layer %s: a file has %d bytes less than in its tar", r.diffID, r.missing)
	}
	r.file = nil
	return err
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.err = errors.Join(r.err, os.ErrClosed)
	err := errors.Join(r.described.Close(), r.files.Close())
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
		r.file = nil
	}
	return err
}
