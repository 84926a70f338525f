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

// assembleLimit is the most that Assemble reads.
const assembleLimit = 1 << 20

// Assemble returns what records give with the files below a directory, and the size that they say. Whatever it is counts as
// the layer.
func Assemble(ctx context.Context, lines []byte, diff string) (content []byte, size int64, err error) {
	size, _, err = recordsOf(lines).count(ctx)
	if err != nil {
		return nil, 0, err
	}
	files, err := os.OpenRoot(diff)
	if err != nil {
		return nil, 0, err
	}
	r := &reader{
		ctx: ctx, records: recordsOf(lines), described: io.NopCloser(nil), files: files,
		verifier: anything{digest.SHA256.FromString("").Verifier()}, part: bytes.NewReader(nil),
	}
	content, err = io.ReadAll(io.LimitReader(r, assembleLimit))
	if size > assembleLimit {
		err = errors.Join(err, errors.New("it was not read to its end"))
	}
	return content, size, errors.Join(err, r.Close())
}

func recordsOf(lines []byte) *records {
	all := bufio.NewScanner(bytes.NewReader(lines))
	all.Buffer(nil, recordLimit)
	return &records{all}
}

// anything is a verifier that takes all bytes for the right ones.
type anything struct{ digest.Verifier }

func (anything) Verified() bool { return true }
