package server

import (
	"fmt"
	"io"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"ndock/docker/agent"
)

// space is what images take on a disk.
type space struct {
	bytes int64
	files int64 // inodes
}

// room is the space for images on the disk of Docker's data. It counts what was promised to those that are being
// unpacked, so that several at once do not take the same space.
type room struct {
	mu       sync.Mutex
	promised space
}

// promise reserves space until release is called. It fails where less than reserve, in bytes, would stay free.
func (r *room) promise(directory string, wanted space, reserve int64) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := freeOn(directory)
	if err != nil {
		return nil, err
	}
	if left := free.bytes - r.promised.bytes - reserve; wanted.bytes < 0 || wanted.bytes > left {
		return nil, noRoom("%s has %d MiB for images (image_reserve_gb left out), and it takes %d MiB more", directory, max(0, left>>20), wanted.bytes>>20)
	}
	if left := free.files - r.promised.files; wanted.files < 0 || wanted.files > left {
		return nil, noRoom("%s has %d inodes left, and it takes up to %d", directory, max(0, left), wanted.files)
	}
	r.add(wanted.bytes, wanted.files)
	return func() { r.mu.Lock(); r.add(-wanted.bytes, -wanted.files); r.mu.Unlock() }, nil
}

func (r *room) add(bytes, files int64) {
	r.promised.bytes += bytes
	r.promised.files += files
}

func noRoom(format string, args ...any) error {
	return &agent.Fault{Code: agent.Failed, Message: "there is no room for the image on this host: " + fmt.Sprintf(format, args...)}
}

// freeOn is what a file system has left. Some, like btrfs, have inodes without number.
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

// watchedWriter asks now and then whether more may be written. Docker writes an archive to its disk as it comes.
type watchedWriter struct {
	io.Writer
	more func() error
	left int // bytes until it asks again
}

const askEvery = 16 << 20 // bytes

func (w *watchedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left <= 0 {
		if err := w.more(); err != nil {
			return 0, err
		}
		w.left = askEvery
	}
	return w.Writer.Write(p)
}
