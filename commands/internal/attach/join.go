package attach

import (
	"context"
	"os"
	"time"
)

// join joins input and output to a connection, which it closes, and returns why that ended.
func (s *session) join(ctx context.Context, conn Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	p := newPlug(s, conn)
	printed := make(chan struct{})
	sized := p.sized // of which p forgets
	go s.safely(func() {
		defer close(printed)
		p.lost <- copyOutput(s.Out, conn, func() { close(sized) }, p.hear)
	})
	go s.safely(func() { conn.KeepAlive(ctx) })
	changed, stop := s.Terminal.resizes()
	defer stop()
	err := p.run(ctx, changed)
	cancel()
	conn.Close() // at once, for the output ends with it
	select {
	case <-printed:
	case <-time.After(time.Second): // nobody takes it
	}
	return err
}

// plug is one connection of a session.
type plug struct {
	*session
	conn   Conn
	lost   chan error
	pieces <-chan []byte // of input; nil before the console is there, and after the end
	sized  chan struct{} // closed when the console takes sizes; nil when that is known
	heard  chan struct{} // something came
	linger *time.Timer

	takesSizes bool
}

func newPlug(s *session, conn Conn) *plug {
	p := &plug{session: s, conn: conn, lost: make(chan error, 1), sized: make(chan struct{}), heard: make(chan struct{}, 1)}
	p.linger = time.NewTimer(s.Linger)
	if s.inputEnd.IsZero() {
		p.linger.Stop()
	}
	return p
}

func (p *plug) hear() {
	select {
	case p.heard <- struct{}{}:
	default:
	}
}

// settling is how long a console that says nothing is waited for before it gets any input. ndock's says at once that it takes
// sizes; a proxy that is about to close the connection says nothing.
const settling = 2 * time.Second

// run sends what is typed, and sizes, until the connection ends or is to end.
func (p *plug) run(ctx context.Context, changed <-chan os.Signal) error {
	settled := time.NewTimer(settling)
	defer settled.Stop()
	for {
		var err error
		select {
		case <-settled.C:
			err = p.begin()
		case <-p.heard:
			if err = p.begin(); err == nil {
				err = p.wait()
			}
		case <-p.sized:
			err = p.begin()
		case piece, more := <-p.pieces:
			err = p.take(piece, more)
		case <-changed:
			err = p.sendSize()
		case <-p.linger.C:
			return errDone
		case err = <-p.lost:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// begin lets input through, after the size and what another connection did not take.
func (p *plug) begin() error {
	select {
	case <-p.sized:
		p.sized, p.takesSizes = nil, true
		if err := p.sendSize(); err != nil {
			return err
		}
	default:
	}
	if len(p.unsent) > 0 {
		if err := p.send(p.unsent); err != nil {
			return err
		}
	}
	if p.inputEnd.IsZero() {
		p.pieces = p.input.pieces
	}
	return nil
}

// take sends a piece of input, or begins to wait for what comes after the last.
func (p *plug) take(piece []byte, more bool) error {
	if more {
		return p.send(piece)
	}
	if p.pieces = nil; p.input.hasLeft() {
		return errLeft
	}
	p.inputEnd = time.Now()
	p.linger.Reset(p.Linger)
	return nil
}

// wait gives the server, which has just said something after the end of input, its time anew, unless it had enough.
func (p *plug) wait() error {
	if p.inputEnd.IsZero() {
		return nil
	}
	left := time.Until(p.inputEnd.Add(lingerLimit * p.Linger))
	if left <= 0 {
		return errDone
	}
	p.linger.Reset(min(p.Linger, left))
	return nil
}

// send remembers what was not sent, for the next connection.
func (p *plug) send(piece []byte) error {
	p.unsent = piece
	if _, err := p.conn.Write(piece); err != nil {
		return err
	}
	p.unsent = nil
	return nil
}

func (p *plug) sendSize() error {
	if p.Terminal == nil || !p.takesSizes {
		return nil
	}
	size, known := p.Terminal.size()
	if !known {
		return nil
	}
	_, err := p.conn.Write([]byte(size.Message()))
	return err
}
