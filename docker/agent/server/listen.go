package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Listen opens a unix socket at path for a user and group (0660), on which it accepts only that user's processes and root's.
// A stale socket of an earlier agent is replaced; anything else at that path is an error.
func Listen(path string, uid, gid int, log *slog.Logger) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	before := unix.Umask(0o177) // nobody can connect before the chmod below
	listener, err := net.Listen("unix", path)
	unix.Umask(before)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chown(path, uid, gid), os.Chmod(path, 0o660)); err != nil {
		return nil, errors.Join(fmt.Errorf("give %s to its user: %w", path, err), listener.Close())
	}
	return &checkedListener{Listener: listener, uids: []uint32{0, uint32(uid)}, log: log}, nil
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: it was not made by an agent, so it is left alone", path)
	}
	if peer, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return errors.Join(fmt.Errorf("another agent listens on %s", path), peer.Close())
	}
	return os.Remove(path)
}

// checkedListener accepts only connections of these users, whatever the socket's mode has become.
type checkedListener struct {
	net.Listener
	uids []uint32
	log  *slog.Logger
}

func (l *checkedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && slices.Contains(l.uids, uid) {
			return conn, nil
		}
		l.log.Warn("a connection was refused: it is of another user", "uid", uid, "error", err)
		conn.Close()
	}
}

func peerUID(conn net.Conn) (uint32, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return peer.Uid, nil
}
