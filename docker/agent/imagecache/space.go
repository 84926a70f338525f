package imagecache

import (
	"fmt"
	"io"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"ndock/docker/agent"
)

// space is what images use on a disk.
type space struct {
	bytes int64
	files int64 // inodes
}

// reservations are the space on the disk of Docker's data that images which are being unpacked will take, so that several at
// once do not take the same space.
type reservations struct {
	mu   sync.Mutex
	held space
}

// reserve holds space until release is called. It fails where less than spare, in bytes, would stay free.
func (r *reservations) reserve(directory string, wanted space, spare int64) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := freeOn(directory)
	if err != nil {
		return nil, err
	}
	if left := free.bytes - r.held.bytes - spare; wanted.bytes < 0 || wanted.bytes > left {
		return nil, noSpace("%s has %d MiB for images (image_reserve_gb left out), and it takes %d MiB more", directory, max(0, left>>20), wanted.bytes>>20)
	}
	if left := free.files - r.held.files; wanted.files < 0 || wanted.files > left {
		return nil, noSpace("%s has %d inodes left, and it takes up to %d", directory, max(0, left), wanted.files)
	}
	r.add(wanted.bytes, wanted.files)
	return func() { r.mu.Lock(); r.add(-wanted.bytes, -wanted.files); r.mu.Unlock() }, nil
}

func (r *reservations) add(bytes, files int64) {
	r.held.bytes += bytes
	r.held.files += files
}

func noSpace(format string, args ...any) error {
	return agent.Faultf(agent.Failed, "there is no room for the image on this host: "+format, args...)
}

// freeOn returns what a file system has left. Some, like btrfs, do not count inodes.
func freeOn(directory string) (space, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(directory, &disk); err != nil {
		return space{}, fmt.Errorf("find out how much room %s has: %w", directory, err)
	}
	free := space{bytes: int64(disk.Bavail) * disk.Bsize, files: math.MaxInt64}
	if disk.Files > 0 {
		free.files = int64(min(disk.Ffree, math.MaxInt64))
	}
	return free, nil
}

// checkedWriter calls check every 16 MiB. Docker writes an archive to its disk while it receives it.
type checkedWriter struct {
	io.Writer
	check func() error
	left  int // bytes until the next check
}

const checkEvery = 16 << 20 // bytes

func (w *checkedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left <= 0 {
		if err := w.check(); err != nil {
			return 0, err
		}
		w.left = checkEvery
	}
	return w.Writer.Write(p)
}
