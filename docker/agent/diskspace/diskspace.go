// Package diskspace hands out what is free on the disk of Docker's data, so that several images that are unpacked or made at once
// do not take the same space, and measures what is there.
package diskspace

import (
	"fmt"
	"math"
	"sync"

	"golang.org/x/sys/unix"
)

// Space is what images use on a disk.
type Space struct {
	Bytes int64
	Files int64 // inodes
}

// Reservations are the space that images will take which are being unpacked or made.
type Reservations struct {
	spare int64

	mu   sync.Mutex
	held Space
}

// New returns reservations that leave spare free, in bytes.
func New(spare int64) *Reservations { return &Reservations{spare: spare} }

// Full says why there is no room for something on a disk.
type Full struct{ reason string }

func (f *Full) Error() string { return f.reason }

// Reserve holds space on a directory's disk until release is called. The error is *Full where less than spare would stay free.
func (r *Reservations) Reserve(directory string, wanted Space) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := FreeOn(directory)
	if err != nil {
		return nil, err
	}
	if left := free.Bytes - r.held.Bytes - r.spare; wanted.Bytes < 0 || wanted.Bytes > left {
		return nil, full("%s has %d MiB for images (image_reserve_gb left out), and it takes %d MiB more", directory, max(0, left>>20), wanted.Bytes>>20)
	}
	if left := free.Files - r.held.Files; wanted.Files < 0 || wanted.Files > left {
		return nil, full("%s has %d inodes left, and it takes up to %d", directory, max(0, left), wanted.Files)
	}
	r.add(wanted.Bytes, wanted.Files)
	return func() { r.mu.Lock(); r.add(-wanted.Bytes, -wanted.Files); r.mu.Unlock() }, nil
}

// Check returns *Full where less than spare is free by now, whatever is reserved.
func (r *Reservations) Check(directory string) error {
	free, err := FreeOn(directory)
	if err != nil || free.Bytes >= r.spare {
		return err
	}
	return full("%s has %d MiB left, less than image_reserve_gb", directory, free.Bytes>>20)
}

// Held returns what is reserved at the moment.
func (r *Reservations) Held() Space {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

func (r *Reservations) add(bytes, files int64) {
	r.held.Bytes += bytes
	r.held.Files += files
}

func full(format string, args ...any) error { return &Full{fmt.Sprintf(format, args...)} }

// FreeOn returns what a file system has left. Some, like btrfs, do not count inodes.
func FreeOn(directory string) (Space, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(directory, &disk); err != nil {
		return Space{}, fmt.Errorf("find out how much room %s has: %w", directory, err)
	}
	free := Space{Bytes: int64(disk.Bavail) * disk.Bsize, Files: math.MaxInt64}
	if disk.Files > 0 {
		free.Files = int64(min(disk.Ffree, math.MaxInt64))
	}
	return free, nil
}
