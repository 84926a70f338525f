package agent

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// SizesTaken is what a console sends first: it takes sizes. Terminals ignore it, as each command to the operating system whose
// number they do not know. Without it a size would be typed into whatever is at the other end.
const SizesTaken = "\x1b]7109;ndock-sizes\a"

// sizeMark begins a size: a byte that no keyboard sends in UTF-8, so that no key waits for what may follow it.
const sizeMark = "\xffndock:"

// Size is that of a terminal, in characters.
type Size struct{ Rows, Columns int }

// maxSize is the largest that is told, of either.
const maxSize = 999

// Message is how a size is told to a console, among what is typed.
func (s Size) Message() string {
	return fmt.Sprintf("%s%dx%d;", sizeMark, min(s.Rows, maxSize), min(s.Columns, maxSize))
}

var sizeForm = regexp.MustCompile(`^([1-9]\d{0,2})x([1-9]\d{0,2})$`)

const longestSize = len("999x999;")

// ReadSize returns the size that data begins with, and how many bytes that takes: none where it begins with something else.
// more tells that it may begin with one, when more of it is there.
func ReadSize(data []byte) (size Size, length int, more bool) {
	if len(data) < len(sizeMark) {
		return Size{}, 0, strings.HasPrefix(sizeMark, string(data))
	}
	rest, found := bytes.CutPrefix(data, []byte(sizeMark))
	if !found {
		return Size{}, 0, false
	}
	end := bytes.IndexByte(rest[:min(len(rest), longestSize)], ';')
	if end < 0 {
		return Size{}, 0, len(rest) < longestSize
	}
	match := sizeForm.FindSubmatch(rest[:end])
	if match == nil {
		return Size{}, 0, false
	}
	size.Rows, _ = strconv.Atoi(string(match[1])) // three digits are a number
	size.Columns, _ = strconv.Atoi(string(match[2]))
	return size, len(sizeMark) + end + 1, false
}
