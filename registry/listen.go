package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

func listen(ctx context.Context, at string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, family(at), at)
	if err == nil {
		return listener, nil
	}
	var cause *os.SyscallError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, inUse(at)
	case errors.As(err, &cause):
		return nil, fmt.Errorf("listen on %s: %w", at, cause.Err)
	}
	return nil, fmt.Errorf("listen on %s: %w", at, err)
}

// family keeps 0.0.0.0 from meaning IPv6 as well, as it does to Go.
func family(at string) string {
	if parsed, err := netip.ParseAddrPort(at); err == nil && parsed.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

func inUse(at string) error {
	return &Error{Op: "listen on " + at, Err: errors.New("another program listens there"), hint: "choose another port with --listen"}
}

// checkPort asks before anything is made or stopped. The port of the registry that is there is free for its successor.
func (d *deployment) checkPort(ctx context.Context) error {
	if at, err := parseAddress(d.place.listens()); err == nil && at.port == d.at.port {
		return nil
	}
	listener, err := listen(ctx, d.Listen)
	var taken *Error
	switch {
	case err == nil:
		return listener.Close()
	case errors.As(err, &taken):
		return err
	}
	return nil // an address that this host has not: the engine may be on another
}
