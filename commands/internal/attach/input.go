package attach

import (
	"bytes"
	"context"
	"io"
)

// typedAhead is how many pieces of input are kept while there is no connection. The key that leaves is seen meanwhile.
const typedAhead = 256

// input reads what the user types, or a file has.
type input struct {
	pieces chan []byte   // closed at the end of input
	left   chan struct{} // closed when the user has left; what he typed before is in pieces
}

// readInput reads until the end, or until the user leaves.
func readInput(ctx context.Context, from io.Reader, escape Key, safely func(func())) *input {
	in := &input{pieces: make(chan []byte, typedAhead), left: make(chan struct{})}
	go safely(func() { in.read(ctx, from, escape) })
	return in
}

func (in *input) read(ctx context.Context, from io.Reader, escape Key) {
	defer close(in.pieces)
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		piece, leaves := buffer[:n], false
		if escape != NoKey {
			piece, _, leaves = bytes.Cut(piece, []byte{byte(escape)})
		}
		if leaves {
			defer close(in.left) // before pieces is closed
		}
		if len(piece) > 0 {
			select {
			case in.pieces <- bytes.Clone(piece):
			case <-ctx.Done():
				return
			}
		}
		if leaves || err != nil { // a terminal that is gone is an end of input, too
			return
		}
	}
}

func (in *input) hasLeft() bool {
	select {
	case <-in.left:
		return true
	default:
		return false
	}
}
