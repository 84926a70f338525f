package output

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Visible returns text with all that could act on a terminal, or deceive its reader, in a visible form: control characters
// (\x1b), bidirectional controls and other invisible format characters (\u202e), and bytes that are no UTF-8 (\xff). Line
// ends and tabs stay.
func Visible(text string) string {
	if !strings.ContainsFunc(text, acts) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == utf8.RuneError: // the character itself
			b.WriteRune(r)
		case r == '\r' && strings.HasPrefix(text[i:], "\r\n"):
			b.WriteByte('\r')
		case !acts(r):
			b.WriteString(text[i : i+size])
		case r < ' ':
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

// acts tells whether a terminal does something else with a character than show it. One that is no UTF-8 reads as
// utf8.RuneError, and so does the character that stands for one.
func acts(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case '\u200c', '\u200d': // the joiners of Persian, of Indian scripts and of emoji
		return false
	case '\u2028', '\u2029', utf8.RuneError:
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}

// Line returns text in its visible form, on one line.
func Line(text string) string {
	return Visible(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}

// ForTerminal returns w, or if that is a terminal, a writer that shows there what is written in its visible form. What goes
// to a file or a pipe is not changed.
func ForTerminal(w io.Writer) io.Writer {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return MakeVisible(file)
	}
	return w
}

// Raw returns what ForTerminal was given: what is written there acts on the terminal.
func Raw(w io.Writer) io.Writer {
	if visible, ok := w.(visibleWriter); ok {
		return visible.w
	}
	return w
}

// MakeVisible returns a writer that gives w what is written to it in its visible form.
func MakeVisible(w io.Writer) io.Writer { return visibleWriter{w} }

type visibleWriter struct{ w io.Writer }

// Write takes what is to be shown in whole characters.
func (v visibleWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(v.w, Visible(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
