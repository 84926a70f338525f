package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// noDetachKeys are keys that nobody types: Docker would take ctrl-p for the first of its own, and keep it.
var noDetachKeys = strings.Repeat("\xff,", 15) + "\xff"

// serialSession joins a caller to the terminal of a container, until one of them leaves.
func (s *Server) serialSession(ctx context.Context, caller *caller, id string, first bool) error {
	attached, err := s.attach(ctx, id)
	if err != nil {
		return errors.Join(err, caller.answer(http.StatusServiceUnavailable))
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)()
	if first {
		if err := s.docker.ContainerResize(ctx, id, container.ResizeOptions{Height: 24, Width: 80}); err != nil {
			s.log.Warn("a console has no size", "container", id, "error", err)
		}
	}
	if err := caller.answer(http.StatusOK); err != nil {
		return err
	}
	return bridge(caller, caller.Conn, attached.Reader, attached.Conn, callerPatience)
}

// attach looks again at what it attaches to: Docker lets one wait for a container that may never start.
func (s *Server) attach(ctx context.Context, id string) (types.HijackedResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	found, err := s.docker.ContainerInspect(ctx, id)
	if err == nil {
		err = reachable(found)
	}
	if err != nil {
		return types.HijackedResponse{}, err
	}
	attached, err := s.docker.ContainerAttach(ctx, id, container.AttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true, DetachKeys: noDetachKeys,
	})
	if err != nil {
		return attached, fmt.Errorf("attach: %w", err)
	}
	return attached, nil
}

// bridge copies both ways until one side leaves, and then closes both.
func bridge(fromCaller io.Reader, caller net.Conn, fromContainer io.Reader, container net.Conn, patience time.Duration) error {
	ended := make(chan error, 2)
	carry := func(to net.Conn, from io.Reader) {
		_, err := io.Copy(patient{to, patience}, from)
		ended <- err
	}
	go carry(container, fromCaller)
	go carry(caller, fromContainer)
	err := <-ended
	_ = caller.Close() // what they say of it is no news: one of them has left
	_ = container.Close()
	<-ended
	return err
}

// patient gives up on who does not take what is written to him: a console that nobody reads holds up all that the
// container writes, and with it the container.
type patient struct {
	to    net.Conn
	limit time.Duration
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.to.SetWriteDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	return p.to.Write(b)
}
