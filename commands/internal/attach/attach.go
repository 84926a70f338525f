// Package attach joins the user's terminal, or a pipe, to the serial console of a server.
package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Conn is a connection to a console.
type Conn interface {
	io.ReadWriteCloser
	KeepAlive(ctx context.Context) // until ctx ends
}

// Options say what is joined to what.
type Options struct {
	Dial   func(ctx context.Context) (Conn, error)
	Status func(ctx context.Context) (string, error)            // Nova's; empty for a server that is gone
	Log    func(ctx context.Context) (string, error)            // is shown first; nil for none
	Tell   func(format string, args ...any)                     // one line, beside the output
	Final  func(err error) bool                                 // no other try can help
	Wait   func(ctx context.Context, pause time.Duration) error // between two tries

	In       io.Reader
	Out      io.Writer
	Terminal *Terminal // that In is; nil for none
	Escape   Key       // leaves, where In is a terminal
	Linger   time.Duration
}

const (
	reconnectFor = 2 * time.Minute  // without a connection that lasts
	lasting      = 10 * time.Second // a connection that has been there for so long was one
	lingerLimit  = 30               // so many times Linger is the longest time after the end of input
)

var (
	errLeft = errors.New("the user has left")
	errDone = errors.New("the input has ended, and nothing came after it")
)

// Run joins them until the user leaves, the input ends, or the server does. The terminal is then what it was before.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := o.Dial(ctx)
	if err != nil {
		return err
	}
	escape := NoKey
	if o.Terminal != nil {
		escape = o.Escape
		o.Tell("Connected; %s", leaving(escape))
		if err := o.Terminal.Raw(); err != nil {
			return errors.Join(err, conn.Close())
		}
		defer o.Terminal.Restore()
	}
	s := &session{Options: o}
	if err := s.showLog(ctx); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.input = readInput(ctx, o.In, escape, s.safely)
	err = s.run(ctx, conn)
	if s.input.hasLeft() {
		o.Tell("Left the console")
	}
	return err
}

func leaving(key Key) string {
	if key == NoKey {
		return "no key leaves"
	}
	return key.String() + " leaves"
}

// session is what outlives a connection.
type session struct {
	Options
	input    *input
	unsent   []byte    // that a connection did not take
	inputEnd time.Time // zero before
}

// safely runs what a goroutine does. A panic there would leave the terminal as it is.
func (s *session) safely(do func()) {
	defer func() {
		if failure := recover(); failure != nil {
			s.Terminal.Restore()
			panic(failure)
		}
	}()
	do()
}

func (s *session) showLog(ctx context.Context) error {
	if s.Log == nil {
		return nil
	}
	text, err := s.Log(ctx)
	if s.Terminal.raw() {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	}
	if err == nil {
		_, err = io.WriteString(s.Out, text)
	}
	return err
}

func (s *session) run(ctx context.Context, conn Conn) error {
	var deadline time.Time
	for pause := time.Duration(0); ; {
		begun := time.Now()
		lost := s.join(ctx, conn)
		if over, err := s.over(ctx, lost); over {
			return err
		}
		if pause == 0 || time.Since(begun) >= lasting {
			deadline, pause = time.Now().Add(reconnectFor), time.Second/2
		}
		var err error
		if conn, err = s.reconnect(ctx, lost, deadline, &pause); conn == nil {
			return err
		}
		s.Tell("Connected again")
	}
}

// over tells whether a session ends with the connection.
func (s *session) over(ctx context.Context, lost error) (bool, error) {
	var output *outputError
	switch {
	case errors.Is(lost, errLeft), errors.Is(lost, errDone):
		return true, nil
	case ctx.Err() != nil:
		return true, ctx.Err()
	case errors.As(lost, &output):
		return true, fmt.Errorf("print what the console sends: %w", output.error)
	}
	return s.input.hasLeft(), nil
}

// reconnect tries until there is a connection, the server is seen to have ended, or it is too late. Without a connection it
// returns why there is none: nil when the server has ended, or the user has left.
func (s *session) reconnect(ctx context.Context, lost error, deadline time.Time, pause *time.Duration) (Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.safely(func() {
		select {
		case <-s.input.left:
			cancel()
		case <-ctx.Done():
		}
	})
	tell := sync.OnceFunc(func() { s.Tell("The connection was lost: %v; connecting again", reasonOf(lost)) })
	for {
		err := s.Wait(ctx, *pause)
		*pause = min(*pause*2, 5*time.Second)
		if err == nil {
			conn, ended, failed := s.again(ctx, tell)
			if conn != nil || ended {
				return conn, nil
			}
			err = failed
		}
		switch {
		case s.input.hasLeft():
			return nil, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case s.Final(err), time.Now().After(deadline):
			return nil, fmt.Errorf("the connection was lost: %w; and there is no other: %w", reasonOf(lost), err)
		}
	}
}

// again makes another connection, if the server is up, and then calls tell before.
func (s *session) again(ctx context.Context, tell func()) (conn Conn, ended bool, err error) {
	status, err := s.Status(ctx)
	switch {
	case err != nil:
		return nil, false, err
	case status == "":
		s.Tell("The server is deleted")
		return nil, true, nil
	case hasEnded(status):
		s.Tell("The server is %s", status)
		return nil, true, nil
	}
	tell()
	conn, err = s.Dial(ctx)
	return conn, false, err
}

// hasEnded tells whether a server will have no console before somebody does something. Others are about to be up.
func hasEnded(status string) bool {
	switch status {
	case "SHUTOFF", "ERROR", "PAUSED", "SUSPENDED", "DELETED", "SOFT_DELETED", "SHELVED", "SHELVED_OFFLOADED":
		return true
	}
	return false
}

func reasonOf(lost error) error {
	if errors.Is(lost, io.EOF) {
		return errors.New("the proxy closed it")
	}
	return lost
}
