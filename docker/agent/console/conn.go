package console

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
	maxRequest     = 4 << 10 // bytes of a request for a console
	requestTimeout = 10 * time.Second
	writeTimeout   = 30 * time.Second
)

// conn is a connection to a console's port: of Nova's proxy, if all is well.
type conn struct {
	net.Conn
	limited *io.LimitedReader
	in      *bufio.Reader
	asked   bool          // by CONNECT, so that an answer is waited for
	timeout time.Duration // for the request
}

func newConn(raw net.Conn) *conn {
	limited := &io.LimitedReader{R: raw, N: maxRequest}
	return &conn{Conn: raw, limited: limited, in: bufio.NewReader(limited), timeout: requestTimeout}
}

func (c *conn) Read(p []byte) (int, error) { return c.in.Read(p) }

// admit returns the container that the connection is for, or why it is for none.
func (c *conn) admit(ctx context.Context, known *admissions) (container string, err error) {
	if known.expectsNext() {
		container, ok := known.next(ctx)
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
	container, ok := known.byPath(path)
	if !ok {
		return "", errors.Join(errors.New("the path is unknown, used or too old"), c.answer(http.StatusNotFound))
	}
	return container, nil
}

// readPath reads what Nova's proxy sends first. The proxy waits for an answer, whatever that is: without one it never ends.
func (c *conn) readPath() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
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

// answer says whether the caller is let in, if there was a request.
func (c *conn) answer(status int) error {
	if !c.asked {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
	return err
}
