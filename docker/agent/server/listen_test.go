package server

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ndock/docker/agent/agenttest"
)

// listen opens an agent's socket, on which root is heard.
func listen(t *testing.T, path string) *checkedListener {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("an agent runs as root")
	}
	listener, err := Listen(path, 0, 0, agenttest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*checkedListener)
}

// socketPath is short enough for a socket's address, which a test's own directory may not be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ndock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "agent.sock")
}

func TestListenMode(t *testing.T) {
	path := socketPath(t)
	listen(t, path)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o660 {
		t.Errorf("got mode %v", got)
	}
}

func TestListenGivesTheSocketToItsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("an agent runs as root")
	}
	path := socketPath(t)
	listener, err := Listen(path, 12345, 12346, agenttest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var found unix.Stat_t
	if err := unix.Stat(path, &found); err != nil || found.Uid != 12345 || found.Gid != 12346 {
		t.Errorf("it belongs to %d:%d, %v", found.Uid, found.Gid, err)
	}
}

func TestListenReplacesADeadSocket(t *testing.T) {
	path := socketPath(t)
	dead := listen(t, path).Listener.(*net.UnixListener)
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("no socket was left behind: %v", err)
	}
	wantHeard(t, listen(t, path))
}

func TestListenRefuses(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a file":              func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"a directory":         func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to a file":    func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a link to nothing":   func(path string) error { return os.Symlink(path+"-none", path) },
		"a link to a socket":  linkToSocket(t),
		"the end of a device": func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		path := socketPath(t)
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), make(path)); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if listener, err := Listen(path, os.Getuid(), os.Getgid(), agenttest.Quiet()); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: got %v, %v", name, listener, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s: it was touched: %v", name, err)
		}
	}
}

func linkToSocket(t *testing.T) func(path string) error {
	return func(path string) error {
		socket, err := net.Listen("unix", path+"-real")
		if err != nil {
			return err
		}
		t.Cleanup(func() { socket.Close() })
		return os.Symlink(path+"-real", path)
	}
}

func TestListenRefusesASecondAgent(t *testing.T) {
	path := socketPath(t)
	first := listen(t, path)
	if second, err := Listen(path, 0, 0, agenttest.Quiet()); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("got %v, %v", second, err)
	}
	// Its question to the first is a connection of its own, which has ended.
	if conn, err := first.Accept(); err == nil {
		conn.Close()
	}
	wantHeard(t, first)
}

func TestStrangersAreTurnedAway(t *testing.T) {
	path := socketPath(t)
	listener := listen(t, path)
	listener.uids = []uint32{uint32(os.Getuid()) + 12345}
	accepted := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		accepted <- err
	}()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the stranger read %d bytes, %v", n, err)
	}
	listener.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the stranger was let in: %v", err)
	}
}

// wantHeard checks that this process is heard on a socket.
func wantHeard(t *testing.T, listener net.Listener) {
	t.Helper()
	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer.Close()
}
