package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ndock/docker/agent"
)

const (
	maxConnections = 32 // to one server's console, those included that are not let in yet
	recheckInUse   = time.Minute
)

// portSet has the TCP ports of the servers' consoles, one a server: its port is how Nova's proxy names a server, and before
// each connection Nova asks whether the port is still that server's.
type portSet struct {
	closing  context.Context
	session  session
	log      *slog.Logger
	sessions sync.WaitGroup // all that runs for a port

	mu    sync.Mutex
	ports map[string]*serverPort // by server
}

// A session joins a connection to a container until one of them ends. first tells that nobody else is there.
type session func(ctx context.Context, c *conn, container string, first bool) error

// serverPort is one server's.
type serverPort struct {
	net.Listener
	address    string
	number     int
	admissions *admissions
	callers    chan struct{} // one element for each connection
	inside     atomic.Int32  // those that were let in
	expires    time.Time
	expiry     *time.Timer
}

func newPorts(closing context.Context, session session, log *slog.Logger) *portSet {
	s := &portSet{closing: closing, session: session, log: log, ports: map[string]*serverPort{}}
	context.AfterFunc(closing, s.closeAll)
	return s
}

// open returns the server's port, which stays open for the lifetime from now on.
func (s *portSet) open(uuid, address, ports string, lifetime time.Duration) (*serverPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return nil, errors.New("the agent ends")
	}
	port := s.ports[uuid]
	if port == nil || port.address != address {
		opened, err := listen(s.closing, address, ports)
		if err != nil {
			return nil, err
		}
		s.close(uuid, port)
		port = opened
		port.expiry = time.AfterFunc(lifetime, func() { s.expire(uuid, port) })
		s.ports[uuid] = port
		s.sessions.Go(func() { s.serve(uuid, port) })
	}
	if until := time.Now().Add(lifetime); until.After(port.expires) {
		port.expires = until
		port.expiry.Reset(lifetime)
	}
	return port, nil
}

// expire closes a port whose lifetime is over and which nobody uses.
func (s *portSet) expire(uuid string, port *serverPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ports[uuid] != port || time.Now().Before(port.expires): // it is closed, or was asked for again
	case port.inside.Load() > 0:
		port.expiry.Reset(recheckInUse)
	default:
		s.close(uuid, port)
	}
}

func (s *portSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uuid, port := range s.ports {
		s.close(uuid, port)
	}
}

// close ends a port and none of its sessions. The caller holds the lock.
func (s *portSet) close(uuid string, port *serverPort) {
	if port == nil {
		return
	}
	delete(s.ports, uuid)
	port.expiry.Stop()
	if err := port.Close(); err != nil {
		s.log.Error("a console's port does not close", "server", uuid, "error", err)
	}
}

// listen takes the first port of the range that is free.
func listen(ctx context.Context, address, ports string) (*serverPort, error) {
	first, end, err := portsOfRange(ports)
	if err != nil {
		return nil, err
	}
	for number := first; number < end; number++ {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(number)))
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listen for consoles: %w", err)
		}
		callers := make(chan struct{}, maxConnections)
		return &serverPort{Listener: listener, address: address, number: number, admissions: newAdmissions(), callers: callers}, nil
	}
	return nil, agent.Faultf(agent.NoFreePort, "none of the ports %s is free on %s", ports, address)
}

func (s *portSet) serve(uuid string, port *serverPort) {
	log := s.log.With("server", uuid, "port", port.number)
	for {
		conn, err := port.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Error("a console's port takes nobody in for a moment", "error", err)
			time.Sleep(100 * time.Millisecond) // as with too many open files
			continue
		}
		select {
		case port.callers <- struct{}{}:
			s.sessions.Go(func() {
				s.receive(port, conn, log.With("peer", conn.RemoteAddr()))
				<-port.callers
			})
		default:
			log.Warn("too many connections to a console", "peer", conn.RemoteAddr())
			conn.Close()
		}
	}
}

// receive lets a connection in to the container that it has an admission for, or closes it.
func (s *portSet) receive(port *serverPort, raw net.Conn, log *slog.Logger) {
	defer raw.Close()
	defer context.AfterFunc(s.closing, func() { raw.Close() })()
	c := newConn(raw)
	container, err := c.admit(s.closing, port.admissions)
	if err != nil {
		log.Warn("nobody was let in to a console", "reason", err)
		return
	}
	first := port.inside.Add(1) == 1
	defer port.inside.Add(-1)
	log.Info("console opened")
	err = s.session(s.closing, c, container, first)
	log.Info("console closed", "reason", err)
}
