package layerfiles

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// inside makes a path below a directory of a name in a tar, as Docker does where it unpacks one.
func inside(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// openFile opens a regular file below a directory for reading. A tenant may have put anything in its place: no link leads out
// of the directory, and none is followed to the file; a device or a FIFO is not opened, since to open it can be to act on it.
// (openat2 would do this in one call, but systemd's RestrictSUIDSGID forbids it to the agent.)
func openFile(root *os.Root, name string) (*os.File, error) {
	found, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file", name)
	}
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err == nil && !os.SameFile(found, opened) {
		err = fmt.Errorf("%q was replaced meanwhile", name)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
