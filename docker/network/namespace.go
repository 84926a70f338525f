package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a network namespace that is open.
type namespace struct{ file *os.File }

func openNamespace(path string) (namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return namespace{}, fmt.Errorf("open the network namespace: %w", err)
	}
	var info unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &info); err != nil || info.Type != unix.NSFS_MAGIC {
		file.Close() // a file on which none was mounted
		return namespace{}, fmt.Errorf("open the network namespace %s: %w", path, errors.Join(err, os.ErrNotExist))
	}
	return namespace{file}, nil
}

func (n namespace) fd() int { return int(n.file.Fd()) }

func (n namespace) close() { n.file.Close() }

// do runs a function in the namespace. The function gets the namespace of the caller, which is closed when do returns.
func (n namespace) do(function func(host namespace) error) error {
	host, err := openNamespace(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return err
	}
	defer host.close()
	finished := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread stays in that namespace, and ends with the goroutine
		if err := unix.Setns(n.fd(), unix.CLONE_NEWNET); err != nil {
			finished <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		finished <- function(host)
	}()
	return <-finished
}

// pin mounts a namespace at path, which keeps it when the last process in it has ended.
func pin(ns, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(ns, path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("keep the network namespace at %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// unpin undoes pin. What is not pinned is fine.
func unpin(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("let the network namespace at %s go: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
