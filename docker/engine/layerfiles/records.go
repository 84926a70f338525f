package layerfiles

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/vbatts/tar-split/tar/storage"
)

// recordLimit is the longest record, in bytes. The longest that Docker writes are of 1 MiB of padding, or of a file's extended
// attributes, in base64.
const recordLimit = 4 << 20

// records reads what tar-split has recorded of a tar: its headers and padding as they are, and names and sizes of its files.
// tar-split's own reader keeps all names in memory, and takes records of any length.
type records struct{ lines *bufio.Scanner }

// newRecords reads tar-split.json.gz.
func newRecords(from io.Reader) (*records, error) {
	plain, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("its records: %w", err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, recordLimit)
	return &records{lines}, nil
}

// next returns a record that is one of the two kinds, or io.EOF.
func (r *records) next() (storage.Entry, error) {
	for r.lines.Scan() {
		if len(bytes.TrimSpace(r.lines.Bytes())) == 0 {
			continue
		}
		var one storage.Entry
		if err := json.Unmarshal(r.lines.Bytes(), &one); err != nil {
			return one, fmt.Errorf("its records: %w", err)
		}
		if one.Type != storage.FileType && one.Type != storage.SegmentType || one.Size < 0 {
			return one, fmt.Errorf("its records: one has the type %d and the size %d", one.Type, one.Size)
		}
		return one, nil
	}
	if err := r.lines.Err(); err != nil {
		return storage.Entry{}, fmt.Errorf("its records: %w", err)
	}
	return storage.Entry{}, io.EOF
}

// count returns the sizes of the layer's tar and of the files in it. No file is opened for that.
func (l Layer) count(ctx context.Context) (size, unpacked int64, err error) {
	file, err := l.store.open(l.records)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	all, err := newRecords(file)
	if err != nil {
		return 0, 0, err
	}
	return all.count(ctx)
}

func (r *records) count(ctx context.Context) (size, unpacked int64, err error) {
	for {
		one, err := r.next()
		if err == io.EOF {
			return size, unpacked, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return 0, 0, err
		}
		more := one.Size
		if one.Type == storage.SegmentType {
			more = int64(len(one.Payload))
		} else {
			unpacked += more
		}
		if size > math.MaxInt64-more {
			return 0, 0, errors.New("its records: their sizes are more than any disk has")
		}
		size += more
	}
}

// Sizes remembers what was counted of layers, which takes seconds for one of 100,000 files. A layer never changes, and its
// directory has a name that is used once.
type Sizes struct {
	mu    sync.Mutex
	known map[string][2]int64 // by that name
}

// sizesLimit is how many layers are remembered.
const sizesLimit = 4096

func (s *Sizes) of(name string, count func() (size, unpacked int64, err error)) (size, unpacked int64, err error) {
	s.mu.Lock()
	known, ok := s.known[name]
	s.mu.Unlock()
	if ok {
		return known[0], known[1], nil
	}
	if size, unpacked, err = count(); err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= sizesLimit {
		s.known = map[string][2]int64{}
	}
	s.known[name] = [2]int64{size, unpacked}
	return size, unpacked, nil
}
