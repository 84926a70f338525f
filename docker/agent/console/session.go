package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

// noDetachKeys are keys that nobody types. With Docker's own, ctrl-p would not reach the process.
var noDetachKeys = strings.Repeat("\xff,", 15) + "\xff"

// serve joins a connection to the terminal of a container, until one of them ends.
func (s *Consoles) serve(ctx context.Context, c *conn, id string, first bool) error {
	attached, err := s.attach(ctx, id)
	if err != nil {
		return errors.Join(err, c.answer(http.StatusServiceUnavailable))
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)()
	if first {
		s.resize(ctx, id, defaultSize)
	}
	if err := c.answer(http.StatusOK); err != nil {
		return err
	}
	if _, err := io.WriteString(deadlineWriter{c.Conn, writeTimeout}, agent.SizesTaken); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	told, following := make(sizes, 1), sync.WaitGroup{}
	following.Go(func() { s.follow(ctx, id, told) })
	defer following.Wait()
	defer cancel()
	return bridge(c, c.Conn, attached.Reader, attached.Conn, writeTimeout, told.tell)
}

// defaultSize is that of a console whose client tells none.
var defaultSize = agent.Size{Rows: 24, Columns: 80}

// attach inspects the container again before it attaches: Docker lets one wait for a container that may never start.
func (s *Consoles) attach(ctx context.Context, id string) (types.HijackedResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, agent.ShortTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(ctx, id)
	if err == nil {
		err = reachable(found)
	}
	if err != nil {
		return types.HijackedResponse{}, err
	}
	attached, err := s.engine.ContainerAttach(ctx, id, container.AttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true, DetachKeys: noDetachKeys,
	})
	if err != nil {
		return attached, fmt.Errorf("attach: %w", err)
	}
	return attached, nil
}

// bridge copies both ways until one side ends, and then closes both. Sizes that the caller tells go to resize instead.
func bridge(fromCaller io.Reader, caller net.Conn, fromContainer io.Reader, container net.Conn, timeout time.Duration, resize func(agent.Size)) error {
	ended := make(chan error, 2)
	copyTo := func(to io.Writer, from io.Reader) {
		_, err := io.Copy(to, from)
		ended <- err
	}
	go copyTo(&sizeFilter{to: deadlineWriter{container, timeout}, resize: resize}, fromCaller)
	go copyTo(deadlineWriter{caller, timeout}, fromContainer)
	err := <-ended
	_ = caller.Close() // one of them has ended already
	_ = container.Close()
	<-ended
	return err
}

// deadlineWriter gives up on a peer that does not take what is written to it: a console that nobody reads holds up all that
// the container writes, and with it the container.
type deadlineWriter struct {
	to    net.Conn
	limit time.Duration
}

func (w deadlineWriter) Write(b []byte) (int, error) {
	if err := w.to.SetWriteDeadline(time.Now().Add(w.limit)); err != nil {
		return 0, err
	}
	return w.to.Write(b)
}
