package layerfiles

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
)

// Assemble returns what records give with the files below a directory, and the size that they say. Whatever it is counts as the layer.
func Assemble(ctx context.Context, lines []byte, diff string) (content []byte, size int64, err error) {
	scan := func() *records {
		all := bufio.NewScanner(bytes.NewReader(lines))
		all.Buffer(nil, recordLimit)
		return &records{all}
	}
	size, _, err = scan().count(ctx)
	if err != nil {
		return nil, 0, err
	}
	files, err := openRoot(diff)
	if err != nil {
		return nil, 0, err
	}
	r := &reader{ctx: ctx, records: scan(), described: io.NopCloser(nil), files: files, verifier: anything{digest.SHA256.FromString("").Verifier()}, part: bytes.NewReader(nil)}
	content, err = io.ReadAll(io.LimitReader(r, 1<<20))
	return content, size, errors.Join(err, r.Close(), limited(size))
}

func limited(size int64) error {
	if size > 1<<20 {
		return os.ErrInvalid
	}
	return nil
}

type anything struct{ digest.Verifier }

func (anything) Verified() bool { return true }
