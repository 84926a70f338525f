package system

import (
	"strings"
	"unicode"
)

// printable is a text of others than root, with nothing in it that a terminal would obey.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
