package ociruntime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links the kernel follows on the way to a file.
const maxLinks = 40

// CheckProgram returns why root should not run a program, or cannot: others could have written it, or put another into its place. It
// goes the way that the kernel goes, by all links, and looks at each directory on it.
func CheckProgram(path string) error {
	at, ahead, links := "/", strings.Split(path, "/"), 0
	for ; len(ahead) > 0; ahead = ahead[1:] {
		if err := checkDirectory(at, path); err != nil {
			return err
		}
		next := filepath.Join(at, ahead[0]) // also for "..": at is no link
		target, err := os.Readlink(next)
		switch {
		case errors.Is(err, syscall.EINVAL): // it is no link
			at = next
			continue
		case err != nil:
			return err
		case links == maxLinks:
			return fmt.Errorf("%s leads through more than %d links", path, maxLinks)
		}
		links++
		if filepath.IsAbs(target) {
			at = "/"
		}
		ahead = append(append(ahead[:1:1], strings.Split(target, "/")...), ahead[1:]...)
	}
	return checkFile(at)
}

// checkDirectory refuses one that others than root may change. In a sticky one they cannot replace what is there, but bring what is
// not there yet.
func checkDirectory(dir, of string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory, and %s is to be in it", dir, of)
	}
	if info.Mode()&fs.ModeSticky != 0 && isWritable(info) {
		return fmt.Errorf("others than root can bring files to %s, which %s is in: have it elsewhere, as in /usr/local/bin", dir, of)
	}
	if !isRoots(info) || isWritable(info) {
		return fmt.Errorf("others than root can change %s, which %s is in: chown root %[1]s; chmod go-w %[1]s", dir, of)
	}
	return nil
}

func checkFile(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	case !isRoots(info):
		return fmt.Errorf("%s is not root's, so that another could decide what servers may do: chown root %[1]s", path)
	case isWritable(info):
		return fmt.Errorf("%s can be written to by others than root: chmod go-w %[1]s", path)
	case info.Mode().Perm()&0o100 == 0:
		return fmt.Errorf("%s is not executable: chmod +x %[1]s", path)
	}
	return nil
}

func isRoots(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && owner.Uid == 0
}

func isWritable(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }
