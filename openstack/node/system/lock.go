package system

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// LockFile keeps two setups or teardowns of one machine apart.
const LockFile = "/run/ndock/setup.lock"

// Lock takes the lock, which ends with the process at the latest. It does not wait for another that holds it.
func Lock(path string) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, FileError("make", filepath.Dir(path), err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, FileError("open", path, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = Advise(errors.New("another 'ndock node setup' or 'teardown' is at work on this machine"), "wait until it has ended; it holds %s", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}
