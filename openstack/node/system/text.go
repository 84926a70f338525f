package system

import (
	"strings"
	"unicode"
)

// Printable replaces what a terminal would obey in a text that others than root wrote.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
