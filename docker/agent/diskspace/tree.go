package diskspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ndock/docker/archive"
)

// Tree is what files take, those of a directory and of all below it. A tenant chooses their number and their sizes: sums stay at
// math.MaxInt64 when they reach it.
type Tree struct {
	Stated int64 // bytes as the files and directories say: those of a copy, where nothing is left out as a hole
	Used   int64 // bytes on the disk
	Files  int64 // and directories
	Names  int64 // beside the first of each file
}

// nameSize is what a further name of a file takes in an image at most, in bytes: in its directory, and in what Docker records of the layer.
const nameSize = 2048

// Copy is the most that a copy of the files takes.
func (t Tree) Copy() Space {
	return Space{Bytes: archive.AddSizes(t.Stated, archive.AddSizes(times(t.Files, archive.BlockSize), times(t.Names, nameSize))), Files: t.Files}
}

// times returns a product, at most math.MaxInt64.
func times(n, size int64) int64 { return min(n, math.MaxInt64/size) * size }

// Limits of what is measured. A tenant can have a file of any number of names, and move directories so that they are met again and again.
const (
	maxDepth = 1024    // of directories. Each holds a file descriptor, and Docker copies what a path of 4096 bytes reaches
	maxSeen  = 1 << 18 // inodes that are counted once. More are counted as often as they are there
	large    = 1 << 20 // bytes: files from this size on are counted once, also where a tenant moves them meanwhile
	batch    = 1 << 8  // names that are read at once
	within   = 10 * time.Minute
	openFlag = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// ErrTooDeep says that directories are nested deeper than is measured.
var ErrTooDeep = fmt.Errorf("its directories are nested more than %d deep", maxDepth)

// ErrTooMany says that there are more files than are measured.
var ErrTooMany = fmt.Errorf("its files are not counted within %d minutes, there are too many", int(within.Minutes()))

// Measure measures a directory. It follows no link, and does not leave the file system: the files may be a tenant's, who may change
// them meanwhile. With an error it returns what it has come to.
func Measure(ctx context.Context, directory string) (Tree, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, ErrTooMany)
	defer cancel()
	root, err := filepath.EvalSymlinks(directory) // which the operator may have put above it
	if err != nil {
		return Tree{}, err
	}
	m := measuring{ctx: ctx, seen: map[uint64]struct{}{}}
	var found unix.Stat_t
	if err := unix.Lstat(root, &found); err != nil {
		return Tree{}, fmt.Errorf("measure %s: %w", directory, err)
	}
	m.device = found.Dev
	if err := m.directory(unix.AT_FDCWD, root, 0); err != nil {
		return m.tree, fmt.Errorf("measure %s: %w", directory, err)
	}
	return m.tree, nil
}

// measuring is a tree that is being measured.
type measuring struct {
	ctx    context.Context
	device uint64
	seen   map[uint64]struct{} // inodes
	tree   Tree
}

func (m *measuring) directory(parent int, name string, depth int) error {
	if depth > maxDepth {
		return ErrTooDeep
	}
	fd, err := unix.Openat(parent, name, openFlag, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	opened := os.NewFile(uintptr(fd), "a directory of it") // its name is a tenant's
	defer opened.Close()
	for {
		if m.ctx.Err() != nil {
			return context.Cause(m.ctx)
		}
		names, err := opened.Readdirnames(batch)
		for _, one := range names {
			if err := m.entry(fd, one, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// gone tells that a file is no longer there, or no directory any more.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

func (m *measuring) entry(parent int, name string, depth int) error {
	var found unix.Stat_t
	err := unix.Fstatat(parent, name, &found, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if gone(err) || err == nil && found.Dev != m.device {
		return nil
	}
	if err != nil {
		return err
	}
	isDirectory := found.Mode&unix.S_IFMT == unix.S_IFDIR
	if !isDirectory && m.again(found) {
		m.tree.Names++
		return nil
	}
	m.tree.Files++
	m.tree.Used = archive.AddSizes(m.tree.Used, max(0, min(found.Blocks, math.MaxInt64/512))*512)
	if isDirectory || found.Mode&unix.S_IFMT == unix.S_IFREG {
		m.tree.Stated = archive.AddSizes(m.tree.Stated, max(0, found.Size))
	}
	if isDirectory {
		return m.directory(parent, name, depth+1)
	}
	return nil
}

// again tells whether a file was counted before: under another name of it, or where it was then.
func (m *measuring) again(found unix.Stat_t) bool {
	if found.Nlink < 2 && found.Size < large {
		return false
	}
	if _, seen := m.seen[found.Ino]; seen {
		return true
	}
	if len(m.seen) < maxSeen {
		m.seen[found.Ino] = struct{}{}
	}
	return false
}
