package imagecache

import (
	"errors"
	"io"

	"ndock/docker/agent"
	"ndock/docker/agent/diskspace"
)

// noRoom makes a fault of a disk that is full. Another host may have room.
func noRoom(err error) error {
	var full *diskspace.Full
	if !errors.As(err, &full) {
		return err
	}
	return agent.Faultf(agent.Failed, "there is no room for the image on this host: %v", full)
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
