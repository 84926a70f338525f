package oslo

import (
	"errors"
	"strings"
	"unicode"
)

type kind int

const (
	other        kind = iota // blank, or a comment
	header                   // [section]
	assignment               // key = value
	continuation             // an indented line, which goes on with the value above
)

type line struct {
	text    string
	end     string // "\n", "\r\n" or "\r"; nothing at the end of a file that ends without
	kind    kind
	name    string // the section's or the key's
	section string // that it stands in
}

func split(content string) []line {
	var lines []line
	for content != "" {
		text, end := content, ""
		if i := strings.IndexAny(content, "\r\n"); i >= 0 {
			text, end = content[:i], content[i:i+1]
			if strings.HasPrefix(content[i:], "\r\n") {
				end = "\r\n"
			}
		}
		lines = append(lines, line{text: text, end: end})
		content = content[len(text)+len(end):]
	}
	return lines
}

// classify tells what a line is by the rules of oslo.config's parser.
func (l *line) classify(inValue bool) error {
	text := strings.TrimRightFunc(l.text, unicode.IsSpace)
	switch {
	case text == "":
		return nil
	case text[0] == ' ' || text[0] == '\t':
		l.kind = continuation
		if !inValue {
			return errors.New("an indented line that continues nothing")
		}
	case text[0] == '[':
		l.kind = header
		if len(text) < 3 || !strings.HasSuffix(text, "]") {
			return errors.New("a section without a name or its closing bracket")
		}
		l.name = text[1 : len(text)-1]
	case text[0] != '#' && text[0] != ';':
		return l.classifyAssignment(text)
	}
	return nil
}

func (l *line) classifyAssignment(text string) error {
	l.kind = assignment
	key, _, found := cutAny(text, "=:")
	if l.name = strings.TrimSpace(key); !found || l.name == "" {
		return errors.New("neither a section nor a comment nor key = value")
	}
	return nil
}

// value is what an assignment sets, without the quotes that oslo.config takes off.
func (l *line) value() string {
	_, value, _ := cutAny(l.text, "=:")
	value = strings.TrimSpace(value)
	if quoted(value) {
		return value[1:max(1, len(value)-1)]
	}
	return value
}

func quoted(value string) bool {
	return value != "" && (value[0] == '"' || value[0] == '\'') && value[0] == value[len(value)-1]
}

// sameSection compares as oslo.config does: without regard to case, but for DEFAULT.
func sameSection(a, b string) bool {
	return a == b || a != "DEFAULT" && b != "DEFAULT" && strings.EqualFold(a, b)
}

func cutAny(s, separators string) (before, after string, found bool) {
	if i := strings.IndexAny(s, separators); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
