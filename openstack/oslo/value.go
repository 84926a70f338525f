package oslo

import (
	"errors"
	"fmt"
	"strings"
)

// settable refuses what would be read back as something else.
func settable(section, key, value string) error {
	switch {
	case section == "" || strings.ContainsAny(section, "\r\n"):
		return fmt.Errorf("%q can be no section", section)
	case key == "" || strings.ContainsAny(key, "=:\r\n") || strings.TrimSpace(key) != key || strings.ContainsRune("[#;", rune(key[0])):
		return fmt.Errorf("%q can be no key", key)
	case strings.ContainsAny(value, "\r\n"):
		return errors.New("a value of several lines is not written here")
	}
	return nil
}

// literal is a value as it is written, in quotes where it would lose its ends otherwise.
func literal(value string) string {
	if quoted(value) || strings.TrimSpace(value) != value {
		return `"` + value + `"`
	}
	return value
}

// prefix is an assignment without its value: the key, the separator, and the spaces as the file has them.
func prefix(text string) string {
	key, value, _ := cutAny(text, "=:")
	begin := text[:len(key)+1]
	trimmed := strings.TrimSpace(value)
	if trimmed == "" {
		if strings.TrimSpace(key) != key { // "key =" wants a space behind it as well
			return begin + " "
		}
		return begin
	}
	return begin + value[:strings.Index(value, trimmed)]
}

// DuplicateError is a key that is set more than once.
type DuplicateError struct {
	File, Section, Key string
	Lines              []int
}

func (e *DuplicateError) Error() string {
	numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Lines), " ", ", "), "[]")
	return fmt.Sprintf("%s sets %s in [%s] more than once, in lines %s", e.File, e.Key, e.Section, numbers)
}

// Hint says what to do about it.
func (e *DuplicateError) Hint() string {
	return fmt.Sprintf("keep the line that is meant to hold (Nova takes the last one) and remove the others from %s", e.File)
}
