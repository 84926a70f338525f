// Package oslo reads the configuration files of OpenStack as oslo.config does, and edits them in place, comments and all.
package oslo

import (
	"fmt"
	"strings"
)

// Conf is a configuration file, line by line: what is not edited stays as it is to the byte.
type Conf struct {
	name  string
	lines []line
}

// Parse reads a configuration file; name is for errors. What oslo.config refuses is refused here too.
func Parse(name string, content []byte) (*Conf, error) {
	c := &Conf{name: name}
	section, key := "", "" // key: the one that an indented line continues
	for i, l := range split(string(content)) {
		if err := l.classify(key != ""); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, i+1, err)
		}
		switch l.kind {
		case header:
			section, key = l.name, ""
		case assignment:
			key = l.name
		case other:
			key = ""
		}
		l.section = section
		c.lines = append(c.lines, l)
	}
	return c, nil
}

// Bytes is the file's content.
func (c *Conf) Bytes() []byte {
	var b strings.Builder
	for _, l := range c.lines {
		b.WriteString(l.text)
		b.WriteString(l.end)
	}
	return []byte(b.String())
}

// Get returns the value of a key and whether there is one. The lines of a value that has several are joined.
func (c *Conf) Get(section, key string) (string, bool, error) {
	at, err := c.find(section, key)
	if err != nil || at < 0 {
		return "", false, err
	}
	values := []string{c.lines[at].value()}
	for _, l := range c.lines[at+1 : c.after(at)] {
		values = append(values, strings.TrimSpace(l.text))
	}
	return strings.Join(values, "\n"), true, nil
}

// find returns where the key is set, -1 when it is not. Twice is an error: which of the two holds is not for us
// to decide, and an operator may believe in the wrong one.
func (c *Conf) find(section, key string) (int, error) {
	found := -1
	var numbers []int
	for i, l := range c.lines {
		if l.kind == assignment && l.name == key && sameSection(l.section, section) {
			found = i
			numbers = append(numbers, i+1)
		}
	}
	if len(numbers) > 1 {
		return -1, &DuplicateError{File: c.name, Section: section, Key: key, Lines: numbers}
	}
	return found, nil
}

// after returns the index behind the value that is set at an index.
func (c *Conf) after(at int) int {
	at++
	for at < len(c.lines) && c.lines[at].kind == continuation {
		at++
	}
	return at
}
