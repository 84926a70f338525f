package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a container's network, as long as it is open.
type namespace struct{ file *os.File }

func openNamespace(path string) (namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return namespace{}, fmt.Errorf("open the network namespace: %w", err)
	}
	var info unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &info); err != nil || info.Type != unix.NSFS_MAGIC {
		file.Close() // a place for one, on which none was mounted
		return namespace{}, fmt.Errorf("open the network namespace %s: %w", path, errors.Join(err, os.ErrNotExist))
	}
	return namespace{file}, nil
}

func (n namespace) fd() int { return int(n.file.Fd()) }

func (n namespace) close() { n.file.Close() }

// do runs a function in the namespace. It is given the namespace that it comes from, which only lives as long.
func (n namespace) do(function func(host namespace) error) error {
	host, err := openNamespace(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return err
	}
	defer host.close()
	finished := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread is of that namespace, and ends here
		if err := unix.Setns(n.fd(), unix.CLONE_NEWNET); err != nil {
			finished <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		finished <- function(host)
	}()
	return <-finished
}

// hold keeps a namespace at path, also when the last process in it has ended.
func hold(ns, path string) error {
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

// release undoes hold. What is not held is fine.
func release(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("let the network namespace at %s go: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
