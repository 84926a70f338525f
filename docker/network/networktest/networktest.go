// Package networktest gives tests networks to make links in.
package networktest

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Own gives the rest of the test a network of its own. Its thread is never unlocked: it ends with the test, and so does the
// network. Whatever is to be done in it must be done on that thread, so by no subtest.
func Own(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make links")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
}

// Another is a container's network, as long as the file is open or the network is pinned. The test has its Own.
func Another(t *testing.T) *os.File {
	t.Helper()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	other, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return other
}
