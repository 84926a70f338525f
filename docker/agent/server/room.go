package server

import (
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"ndock/docker/agent"
)

// room is the space for images on the disk of Docker's data. It counts what was promised to those that are being
// unpacked, so that several at once do not take the same space.
type room struct {
	mu       sync.Mutex
	promised int64
}

// promise reserves bytes until release is called. It fails where less than reserve would stay free.
func (r *room) promise(directory string, bytes, reserve int64) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := freeBytes(directory)
	if err != nil {
		return nil, err
	}
	if left := free - r.promised - reserve; bytes < 0 || bytes > left {
		return nil, &agent.Fault{Code: agent.Failed, Message: fmt.Sprintf("there is no room for the image on this host: %s has %d MiB for images (image_reserve_gb left out), and it takes %d MiB more", directory, max(0, left>>20), bytes>>20)}
	}
	r.promised += bytes
	return func() { r.mu.Lock(); r.promised -= bytes; r.mu.Unlock() }, nil
}

func freeBytes(directory string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(directory, &disk); err != nil {
		return 0, fmt.Errorf("find out how much room %s has: %w", directory, err)
	}
	return int64(disk.Bavail) * disk.Bsize, nil
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
