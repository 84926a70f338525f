// Package growing finds what is new in a console log that is read again and again, and has the last part alone.
package growing

import (
	"regexp"
	"strings"
)

// Log has been read so far. The zero value is one that has not.
type Log struct{ body, notices string }

// notices are the lines that ndock's agent adds at the end, as often as it is asked.
var notices = regexp.MustCompile(`(?:\r?\n)?(?:\[ndock\] [^\n]*\n(?:\r?\n)?)+$`)

// Grow returns what text, which is the log now, has more than before.
func (l *Log) Grow(text string) string {
	body, added := text, ""
	if at := notices.FindStringIndex(text); at != nil {
		body, added = text[:at[0]], text[at[0]:]
	}
	body = strings.TrimRight(body, "\ufffd") // half a character, as Nova tells it: the other half is to come
	more := body[overlap(l.body, body):]
	if added != l.notices {
		more += added
	}
	l.body, l.notices = body, added
	return more
}

// overlap returns how many bytes at the beginning of later are the end of earlier. It takes time in proportion to both.
func overlap(earlier, later string) int {
	if strings.HasPrefix(later, earlier) {
		return len(earlier)
	}
	borders := make([]int, len(later)+1) // by length of a beginning: the longest beginning that it ends with
	length := 0
	next := func(b byte) {
		for length > 0 && (length == len(later) || later[length] != b) {
			length = borders[length]
		}
		if length < len(later) && later[length] == b {
			length++
		}
	}
	for n := 1; n < len(later); n++ {
		next(later[n])
		borders[n+1] = length
	}
	length = 0
	for n := range len(earlier) {
		next(earlier[n])
	}
	return length
}
