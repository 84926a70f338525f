package attach

import (
	"bytes"
	"io"
	"unicode/utf8"

	"ndock/docker/agent"
)

// copyOutput prints what a console sends, but for what it sends first to say that it takes sizes: then it calls sized.
// It calls heard after each piece.
func copyOutput(to io.Writer, from io.Reader, sized, heard func()) error {
	buffer := make([]byte, 32<<10)
	var first []byte
	for begun := false; ; {
		n, err := from.Read(buffer)
		piece := buffer[:n]
		if !begun {
			first = append(first, piece...)
			if begins(first) && err == nil {
				continue
			}
			rest, takesSizes := bytes.CutPrefix(first, []byte(agent.SizesTaken))
			if piece, begun = rest, true; takesSizes {
				sized()
			}
		}
		if len(piece) > 0 {
			if _, err := to.Write(piece); err != nil {
				return &outputError{err}
			}
			heard()
		}
		if err != nil {
			return err
		}
	}
}

// begins tells whether more may make it what a console sends first.
func begins(text []byte) bool {
	return len(text) < len(agent.SizesTaken) && bytes.HasPrefix([]byte(agent.SizesTaken), text)
}

// outputError is one of where the output goes: there is no use in another connection.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// WholeCharacters returns a writer that gives w what is written to it, without cutting a character or the end of a line in two.
func WholeCharacters(w io.Writer) io.Writer { return &wholeCharacters{w: w} }

type wholeCharacters struct {
	w    io.Writer
	held []byte
}

// Write implements io.Writer.
func (c *wholeCharacters) Write(b []byte) (int, error) {
	text := append(c.held, b...)
	end := len(text) - unfinished(text)
	c.held = bytes.Clone(text[end:])
	if end == 0 {
		return len(b), nil
	}
	if _, err := c.w.Write(text[:end]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// unfinished is how many bytes at the end of a text may be the beginning of a character, or of a line's end.
func unfinished(text []byte) int {
	if bytes.HasSuffix(text, []byte("\r")) {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		last := text[len(text)-n:]
		if utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
