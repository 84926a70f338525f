package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What the kernel's overlay file system notes of files. It puts together by them what Docker never asks it to: an image may
// bring them, or a kernel be set so.
const (
	opaque   = "trusted.overlay.opaque"   // nothing of the layers below is in this directory
	redirect = "trusted.overlay.redirect" // the layers below have this directory elsewhere
	metacopy = "trusted.overlay.metacopy" // a layer below has the content of this file
)

// lookup returns what all layers together have at a path in which no directory is a link, and the uppermost that has it.
func (r Rootfs) lookup(name string) (*os.Root, fs.FileInfo, error) {
	layers := r.layers
	parts := strings.Split(relative(name), "/")
	for n := range parts {
		found, top, err := find(layers, strings.Join(parts[:n+1], "/"))
		switch last := n == len(parts)-1; {
		case err != nil:
			return nil, nil, err
		case last:
			return found[0], top, nil
		case !top.IsDir():
			return nil, nil, fs.ErrNotExist
		}
		layers = found
	}
	return nil, nil, fs.ErrNotExist
}

// find returns which of these layers have a part in what is at a path, and what is there. All of them have its directory.
func find(layers []*os.Root, name string) (with []*os.Root, top fs.FileInfo, err error) {
	for _, layer := range layers {
		found, err := layer.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, nil, err
		case !found.IsDir() && top == nil:
			return []*os.Root{layer}, found, checkFile(layer, name, found)
		case !found.IsDir():
			return with, top, nil
		case top == nil:
			top = found
		}
		with = append(with, layer)
		if ends, err := isOpaque(layer, name); ends || err != nil {
			return with, top, err
		}
	}
	if top == nil {
		return nil, nil, fs.ErrNotExist
	}
	return with, top, nil
}

// checkFile refuses what stands for a file that was removed, and a file of which the content is elsewhere.
func checkFile(layer *os.Root, name string, found fs.FileInfo) error {
	if stat, ok := found.Sys().(*syscall.Stat_t); ok && stat.Mode&syscall.S_IFMT == syscall.S_IFCHR && stat.Rdev == 0 {
		return fs.ErrNotExist
	}
	if !found.Mode().IsRegular() {
		return nil
	}
	value, err := attribute(layer, name, metacopy)
	if err == nil && value != "" {
		err = &Unclear{"/" + name, "has its content in another layer of the image"}
	}
	return err
}

// isOpaque tells whether a layer's directory hides those of the layers below.
func isOpaque(layer *os.Root, name string) (bool, error) {
	moved, err := attribute(layer, name, redirect)
	if err != nil {
		return false, err
	}
	value, err := attribute(layer, name, opaque)
	if err == nil && (moved != "" || value != "" && value != "y") {
		err = &Unclear{"/" + name, "is put together of directories of another name"}
	}
	return value == "y", err
}

// attribute returns an extended attribute of a directory or a regular file, or "" where it has none.
func attribute(layer *os.Root, name, attribute string) (string, error) {
	file, err := layer.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	value := make([]byte, 4096)
	n, err := unix.Fgetxattr(int(file.Fd()), attribute, value)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the attribute %s of %q: %w", attribute, name, err)
	}
	return string(value[:n]), nil
}
