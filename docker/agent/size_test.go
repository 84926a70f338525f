package agent

import (
	"bytes"
	"testing"
)

func TestReadSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		size   Size
		length int
		more   bool
	}{
		"":                     {more: true},
		"\xff":                 {more: true},
		"\xffndo":              {more: true},
		"\xffndock:":           {more: true},
		"\xffndock:24x8":       {more: true},
		"\xffndock:24x80;":     {size: Size{24, 80}, length: 13},
		"\xffndock:1x999;ls\r": {size: Size{1, 999}, length: 13},
		"\xffndock:0x80;":      {},
		"\xffndock:24x1000;":   {},
		"\xffndock:-1x80;":     {},
		"\xffndock:24x80x1;":   {},
		"\xffndock:12345678":   {},
		"\xffNdock:24x80;":     {},
		"\xff\xff":             {},
		"ls\r":                 {},
	} {
		size, length, more := ReadSize([]byte(text))
		if size != want.size || length != want.length || more != want.more {
			t.Errorf("%q: got %v, %d, %v", text, size, length, more)
		}
	}
}

func TestSizeMessage(t *testing.T) {
	t.Parallel()
	for size, want := range map[Size]Size{{50, 132}: {50, 132}, {5000, 70000}: {999, 999}} {
		if got, length, _ := ReadSize([]byte(size.Message())); got != want || length != len(size.Message()) {
			t.Errorf("%v: got %v, %d bytes", size, got, length)
		}
	}
}

// FuzzReadSize: what is asked to wait for more is short, and no size is beyond what a terminal may have.
func FuzzReadSize(f *testing.F) {
	f.Add([]byte("\xffndock:24x80;ls\r"))
	f.Add([]byte("\xffndock:\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		size, length, more := ReadSize(data)
		switch {
		case more && (length != 0 || len(data) >= len(sizeMark)+longestSize):
			t.Errorf("%q waits for more", data)
		case length > 0 && (size.Rows < 1 || size.Rows > maxSize || size.Columns < 1 || size.Columns > maxSize):
			t.Errorf("%q has size %v", data, size)
		case length > 0 && !bytes.HasPrefix(data, []byte(size.Message())):
			t.Errorf("%q is read as %v", data, size)
		}
	})
}
