package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	callerHeader   = 4 << 10 // bytes that a request for a console may have
	callerSpeaks   = 10 * time.Second
	callerPatience = 30 * time.Second // in which something that is written must be taken
)

// caller is who connected to a console's port: Nova's proxy, if all is well.
type caller struct {
	net.Conn
	limited *io.LimitedReader
	in      *bufio.Reader
	asked   bool          // by CONNECT, and so is waiting for an answer
	speaks  time.Duration // how long it may take to ask
}

func newCaller(conn net.Conn) *caller {
	limited := &io.LimitedReader{R: conn, N: callerHeader}
	return &caller{Conn: conn, limited: limited, in: bufio.NewReader(limited), speaks: callerSpeaks}
}

func (c *caller) Read(p []byte) (int, error) { return c.in.Read(p) }

// admission returns the container that the caller may speak to.
func (c *caller) admission(ctx context.Context, tickets *tickets) (container string, err error) {
	if tickets.expectsNext() {
		container, ok := tickets.next(ctx)
		if !ok {
			return "", errors.New("more came than Nova announced")
		}
		c.limited.N = math.MaxInt64
		return container, nil
	}
	path, err := c.readPath()
	if err != nil {
		return "", err
	}
	container, ok := tickets.byPath(path)
	if !ok {
		return "", errors.Join(errors.New("the path is unknown, used or too old"), c.answer(http.StatusNotFound))
	}
	return container, nil
}

// readPath reads what Nova's proxy sends first. It waits for an answer, whatever that is: without one it never ends.
func (c *caller) readPath() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.speaks)); err != nil {
		return "", err
	}
	request, err := http.ReadRequest(c.in)
	c.asked = true
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", errors.Join(errors.New("it did not say what it wants"), c.answer(http.StatusRequestTimeout))
	case err != nil || request.Method != http.MethodConnect:
		return "", errors.Join(errors.New("it did not ask for a console"), err, c.answer(http.StatusBadRequest))
	}
	c.limited.N = math.MaxInt64
	return request.RequestURI, c.SetReadDeadline(time.Time{})
}

// answer says whether the caller is let in, if he has asked.
func (c *caller) answer(status int) error {
	if !c.asked {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(callerPatience)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
	return err
}
