package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"ndock/registry"
)

// Listen listens on HOST:PORT. The error is a *registry.Error where another program listens there already.
func Listen(ctx context.Context, at string) (net.Listener, error) {
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

// family keeps 0.0.0.0 from including IPv6, as it does in Go.
func family(at string) string {
	if parsed, err := netip.ParseAddrPort(at); err == nil && parsed.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

func inUse(at string) error {
	return &registry.Error{Op: "listen on " + at, Err: errors.New("another program listens there"), Help: "choose another port with --listen"}
}
