package docker

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// bySSH has connections say what ssh has said when it ends, in place of how it was called.
func bySSH(host string, dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, explainSSH(host, err)
		}
		return &sshConn{conn, host}, nil
	}
}

// sshConn is the input and output of an ssh.
type sshConn struct {
	net.Conn
	host string
}

func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, explainSSH(c.host, err)
}

// Write loses what an ssh that has ended takes no more: whoever reads hears why.
func (c *sshConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return len(p), nil
	}
	return n, explainSSH(c.host, err)
}

// CloseWrite ends the input, where only that can be ended.
func (c *sshConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// explainSSH finds ssh's own words in an error of Docker's connhelper, which has no type for it.
func explainSSH(host string, err error) error {
	if err == nil {
		return nil
	}
	_, said, ended := strings.Cut(err.Error(), ": stderr=")
	if !ended {
		return err
	}
	said, _ = strings.CutPrefix(strings.TrimSpace(said), "ssh: ")
	return &sshError{host, cmp.Or(said, "it ended without a word"), err}
}

// sshError is what ssh has said instead of connecting to a host.
type sshError struct {
	host, said string
	err        error
}

func (e *sshError) Error() string { return "connect with ssh: " + e.said }

// Unwrap returns the cause.
func (e *sshError) Unwrap() error { return e.err }

// Hint returns what has to work.
func (e *sshError) Hint() string {
	return "'ssh " + e.host + " docker version' has to work, and to ask nothing"
}
