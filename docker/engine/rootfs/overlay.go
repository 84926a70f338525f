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
func (w *walk) lookup(name string) (*os.Root, fs.FileInfo, error) {
	layers := w.layers
	parts := strings.Split(relative(name), "/")
	for n := range parts {
		found, top, err := w.find(layers, strings.Join(parts[:n+1], "/"))
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
func (w *walk) find(layers []*os.Root, name string) (with []*os.Root, top fs.FileInfo, err error) {
	for _, layer := range layers {
		if err := w.mayOpen(name); err != nil {
			return nil, nil, err
		}
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

// mayOpen counts the directories on the way to a file of a layer.
func (w *walk) mayOpen(name string) error {
	if w.opens += 1 + strings.Count(name, "/"); w.opens > maxOpens {
		return &Unclear{w.path, "leads through too many directories of too many layers"}
	}
	return w.ctx.Err()
}

// checkFile refuses what stands for a file that was removed, and a file of which the content is elsewhere.
func checkFile(layer *os.Root, name string, found fs.FileInfo) error {
	if stat, ok := found.Sys().(*syscall.Stat_t); ok && stat.Mode&syscall.S_IFMT == syscall.S_IFCHR && stat.Rdev == 0 {
		return fs.ErrNotExist
	}
	if !found.Mode().IsRegular() {
		return nil
	}
	file, err := open(layer, name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, has, err := attribute(file, metacopy) // which may be empty
	if err == nil && has {
		err = &Unclear{"/" + name, "has its content in another layer of the image"}
	}
	return err
}

// isOpaque tells whether a layer's directory hides those of the layers below.
func isOpaque(layer *os.Root, name string) (bool, error) {
	file, err := open(layer, name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	_, moved, err := attribute(file, redirect)
	if err != nil {
		return false, err
	}
	value, has, err := attribute(file, opaque)
	if err == nil && (moved || has && value != "y") {
		err = &Unclear{"/" + name, "is put together of directories of another name"}
	}
	return value == "y", err
}

// open opens a directory or a regular file of a layer.
func open(layer *os.Root, name string) (*os.File, error) {
	return layer.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
}

// attribute returns an extended attribute of a file, and whether the file has it.
func attribute(file *os.File, attribute string) (value string, has bool, err error) {
	text := make([]byte, 4096)
	n, err := unix.Fgetxattr(int(file.Fd()), attribute, text)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("read the attribute %s of %q: %w", attribute, file.Name(), err)
	}
	return string(text[:n]), true, nil
}
