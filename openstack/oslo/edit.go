package oslo

import (
	"fmt"
	"slices"
	"strings"
)

// Set gives a key of a section its value: where it is set already, else behind the comment that shows its default,
// else at the head of the section, which is made when there is none. No other line changes.
func (c *Conf) Set(section, key, value string) error {
	if err := settable(section, key, value); err != nil {
		return fmt.Errorf("set %s in %s: %w", key, c.name, err)
	}
	at, err := c.find(section, key)
	if err != nil {
		return err
	}
	if at < 0 {
		c.insert(section, key, literal(value))
		return nil
	}
	if now, _, err := c.Get(section, key); err != nil || now == value {
		return err
	}
	last := c.after(at) - 1
	c.lines[at].text, c.lines[at].end = prefix(c.lines[at].text)+literal(value), c.lines[last].end
	c.delete(at+1, last+1)
	return nil
}

// Remove takes a key out of a section.
func (c *Conf) Remove(section, key string) error {
	at, err := c.find(section, key)
	if err == nil && at >= 0 {
		c.delete(at, c.after(at))
	}
	return err
}

func (c *Conf) delete(from, to int) { c.lines = slices.Delete(c.lines, from, to) }

func (c *Conf) insert(section, key, value string) {
	at := c.place(section, key)
	if at < 0 {
		if n := len(c.lines); n > 0 && strings.TrimSpace(c.lines[n-1].text) != "" {
			c.insertLine(n, line{section: c.lines[n-1].section})
		}
		at = len(c.lines)
		c.insertLine(at, line{text: "[" + section + "]", kind: header, name: section, section: section})
	}
	c.insertLine(at+1, line{text: key + " = " + value, kind: assignment, name: key, section: section})
}

// place returns the line behind which a key belongs, -1 when the file has no such section.
func (c *Conf) place(section, key string) int {
	head := -1
	for i, l := range c.lines {
		if !sameSection(l.section, section) {
			continue
		}
		if l.kind == header && head < 0 {
			head = i
		}
		if l.kind == other && defaults(l.text, key) {
			return i
		}
	}
	return head
}

// defaults says whether a line is the comment that shows a key's default, as "#key = value".
func defaults(text, key string) bool {
	name, _, found := cutAny(strings.TrimLeft(text, "#; \t"), "=:")
	return found && strings.TrimSpace(name) == key
}

// insertLine ends the line as its neighbour does, and leaves the end of the file as it was.
func (c *Conf) insertLine(at int, l line) {
	l.end = "\n"
	if at > 0 {
		before := &c.lines[at-1]
		if l.end = before.end; l.end == "" {
			before.end = c.lineEnd()
		}
	}
	c.lines = slices.Insert(c.lines, at, l)
}

func (c *Conf) lineEnd() string {
	if c.lines[0].end != "" {
		return c.lines[0].end
	}
	return "\n"
}
