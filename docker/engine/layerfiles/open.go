package layerfiles

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// inside makes a path below a directory of a name in a tar, as Docker does where it unpacks one.
func inside(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// openRoot opens Docker's directory, which may be a symbolic link of the operator's.
func openRoot(root string) (*os.File, error) {
	return opened(root, func() (int, error) {
		return unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
}

// openDirectory opens a directory below another.
func openDirectory(at *os.File, name string) (*os.File, error) {
	return openBeneath(at, name, unix.O_DIRECTORY)
}

// openFile opens a regular file below a directory for reading. A tenant may have put anything in its place: no link is
// followed, and a device or a FIFO is never opened, since to open it can be to act on it.
func openFile(at *os.File, name string) (*os.File, error) {
	found, err := openBeneath(at, name, 0)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	info, err := found.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file", name)
	}
	return opened(name, func() (int, error) { // the same file, whatever has that name by now
		return unix.Open(fmt.Sprintf("/proc/self/fd/%d", found.Fd()), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
}

// openBeneath opens what has this name, without opening its content.
func openBeneath(at *os.File, name string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	return opened(name, func() (int, error) { return unix.Openat2(int(at.Fd()), name, &how) })
}

// opened makes a file of what open returns, which is asked again when a signal, or a rename nearby, comes between.
func opened(name string, open func() (int, error)) (*os.File, error) {
	for range 100 {
		fd, err := open()
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), name), nil
		case unix.EINTR, unix.EAGAIN:
			continue
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: unix.EAGAIN}
}
