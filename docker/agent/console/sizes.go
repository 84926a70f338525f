package console

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

// resizeInterval is the least time between two sizes of one console, which each cost Docker Engine a request.
const resizeInterval = 100 * time.Millisecond

// sizeFilter takes the sizes out of what a client sends, and writes all else at once, but for what may begin a size.
type sizeFilter struct {
	to     io.Writer
	resize func(agent.Size)
	held   []byte
}

// Write implements io.Writer.
func (f *sizeFilter) Write(b []byte) (int, error) {
	data := append(f.held, b...)
	f.held = nil
	plain := make([]byte, 0, len(data))
	for len(data) > 0 {
		size, length, more := agent.ReadSize(data)
		switch {
		case more:
			f.held, data = bytes.Clone(data), nil
		case length > 0:
			f.resize(size)
			data = data[length:]
		default:
			plain, data = append(plain, data[0]), data[1:]
		}
	}
	if len(plain) == 0 {
		return len(b), nil
	}
	if _, err := f.to.Write(plain); err != nil {
		return 0, err
	}
	return len(b), nil
}

// sizes has the size that was told last, until it is taken.
type sizes chan agent.Size

// tell is for one goroutine.
func (s sizes) tell(size agent.Size) {
	select {
	case <-s:
	default:
	}
	s <- size
}

// follow gives a container's terminal the sizes that are told, until ctx ends. A client that tells many costs few requests.
func (s *Consoles) follow(ctx context.Context, id string, told sizes) {
	for {
		select {
		case size := <-told:
			s.resize(ctx, id, size)
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(resizeInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Consoles) resize(ctx context.Context, id string, size agent.Size) {
	ctx, cancel := context.WithTimeout(ctx, agent.ShortTimeout)
	defer cancel()
	err := s.engine.ContainerResize(ctx, id, container.ResizeOptions{Height: uint(size.Rows), Width: uint(size.Columns)})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("a console has no size", "container", id, "error", err)
	}
}
