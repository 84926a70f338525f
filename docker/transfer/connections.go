package transfer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// refusalInterval is the time between two lines of the log about refused connections.
const refusalInterval = time.Minute

// boundedListener closes connections beyond a limit in all, and beyond a limit of each client.
type boundedListener struct {
	net.Listener
	all, each int
	log       *slog.Logger

	lock    sync.Mutex
	open    int
	clients map[string]int
	refused int
	said    time.Time // when the log last heard of refused ones
}

// LimitConnections returns a listener that has at most so many connections open, in all and with each client's network. It is
// for a listener of TCP.
func LimitConnections(l net.Listener, all, each int, log *slog.Logger) net.Listener {
	return &boundedListener{Listener: l, all: all, each: each, log: log, clients: map[string]int{}}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return nil, errors.Join(fmt.Errorf("accept a connection: it is %T", conn), conn.Close())
		}
		client := ClientNetwork(conn.RemoteAddr().String())
		if l.enter(client) {
			return &boundedConn{TCPConn: tcp, leave: sync.OnceFunc(func() { l.leave(client) })}, nil
		}
		tcp.SetLinger(0) // nothing is kept of it
		tcp.Close()
	}
}

func (l *boundedListener) enter(client string) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.open >= l.all || l.clients[client] >= l.each {
		l.refuse(client)
		return false
	}
	l.open++
	l.clients[client]++
	return true
}

// refuse logs refused connections, at most once in refusalInterval.
func (l *boundedListener) refuse(client string) {
	l.refused++
	if time.Since(l.said) < refusalInterval {
		return
	}
	l.log.Warn("too many connections: new ones are refused", "refused", l.refused, "from", client, "from_there", l.clients[client], "in_all", l.open)
	l.refused, l.said = 0, time.Now()
}

func (l *boundedListener) leave(client string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.open--
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// boundedConn is a connection that a boundedListener has counted.
type boundedConn struct {
	*net.TCPConn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.leave()
	return c.TCPConn.Close()
}

// ClientNetwork returns the addresses that one client can have: an IPv4 address, or a /64 of IPv6.
func ClientNetwork(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}
