package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// withSetting puts a value into the text of a JSON object, each of whose other values stays as its author wrote it.
// The path leads to the value through objects; those that are missing are made.
func withSetting(text []byte, value string, path ...string) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	at, missing, err := locate(text, path)
	if err != nil {
		return nil, err
	}
	if len(missing) == 0 {
		return splice(text, at.start, at.end, value), nil
	}
	for i := len(missing) - 1; i > 0; i-- {
		value = fmt.Sprintf(`{%q: %s}`, missing[i], value)
	}
	added := fmt.Sprintf("\n  %q: %s", missing[0], value)
	if rest := bytes.TrimSpace(text[at.start:at.end]); len(rest) == 0 { // the object has nothing else
		return splice(text, at.start, at.end, added+"\n"), nil
	}
	return splice(text, at.start, at.start, added+","), nil
}

func splice(text []byte, start, end int64, with string) []byte {
	return bytes.Join([][]byte{text[:start], []byte(with), text[end:]}, nil)
}

// span is a part of a text: that of the value that was looked for, or what is between the braces of the innermost object
// on the way to it.
type span struct{ start, end int64 }

// locate returns the part of the path that is missing, too.
func locate(text []byte, path []string) (span, []string, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return span{}, nil, err
	}
	at := span{int64(bytes.IndexByte(text, '{')), int64(bytes.LastIndexByte(text, '}')) + 1}
	for len(path) > 0 {
		value, there, err := member(text[max(at.start, 0):at.end], path[0])
		if err != nil {
			return span{}, nil, err
		}
		if !there {
			return span{at.start + 1, at.end - 1}, path, nil
		}
		at = span{at.start + value.start, at.start + value.end}
		path = path[1:]
	}
	return at, nil, nil
}

// member finds the value of a key in the text of an object.
func member(object []byte, key string) (span, bool, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return span{}, false, errors.Join(fmt.Errorf("%.40q is no object", object), err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return span{}, false, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return span{}, false, err
		}
		if name == key {
			return span{decoder.InputOffset() - int64(len(value)), decoder.InputOffset()}, true, nil
		}
	}
	return span{}, false, nil
}
