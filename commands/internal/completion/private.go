package completion

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// private tells whether nobody else but root can say what is in a directory. It is not where a user has become another one, as
// with su or sudo -E, and has kept the first one's home.
func private(dir string) bool {
	if !filepath.IsAbs(dir) {
		return false
	}
	dir = filepath.Clean(dir)
	return owned(dir, os.Lstat, mine) && owned(filepath.Dir(dir), os.Lstat, mine) && trusted(filepath.Dir(filepath.Dir(dir)))
}

// trusted tells whether nobody else can put another directory in the place of one that is above.
func trusted(dir string) bool {
	return owned(dir, os.Stat, mineOrRoots) && (dir == "/" || trusted(filepath.Dir(dir)))
}

// owned tells whether a directory's owner and mode are as they must be. One that is not there will be.
func owned(dir string, look func(string) (fs.FileInfo, error), right func(owner int, mode fs.FileMode) bool) bool {
	info, err := look(dir)
	if err != nil || !info.IsDir() {
		return errors.Is(err, fs.ErrNotExist)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && right(int(stat.Uid), info.Mode())
}

func mine(owner int, mode fs.FileMode) bool { return owner == os.Geteuid() && mode&0o022 == 0 }

// mineOrRoots is for what is above: there a group of the host's own, as staff, may write, and everyone where the sticky bit is.
func mineOrRoots(owner int, mode fs.FileMode) bool {
	return (owner == os.Geteuid() || owner == 0) && (mode&0o002 == 0 || mode&fs.ModeSticky != 0)
}
