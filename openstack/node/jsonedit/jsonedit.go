// Package jsonedit edits the text of a JSON object: each value that is not edited stays as its author wrote it.
package jsonedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ByteOrderMark is what editors of Windows put before UTF-8. Docker Engine reads over it.
var ByteOrderMark = []byte("\xef\xbb\xbf")

// Set puts a value into the text of a JSON object. An empty text is an empty object.
// The path leads to the value through objects; those that are missing are made.
func Set(text []byte, value string, path ...string) ([]byte, error) {
	if rest, marked := bytes.CutPrefix(text, ByteOrderMark); marked {
		edited, err := Set(rest, value, path...)
		return append(bytes.Clone(ByteOrderMark), edited...), err
	}
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
	const space = " \t\r\n" // of JSON's
	at := span{int64(len(text) - len(bytes.TrimLeft(text, space))), int64(len(bytes.TrimRight(text, space)))}
	for len(path) > 0 {
		value, there, err := member(text[at.start:at.end], path[0])
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

// InsertElement puts a value before the others of an array that is in the text of a JSON object.
func InsertElement(text []byte, value string, path ...string) ([]byte, error) {
	at, elements, err := locateArray(text, path)
	if err != nil {
		return nil, err
	}
	if len(elements) > 0 {
		value += ","
	}
	return splice(text, at.start+1, at.start+1, "\n        "+value), nil
}

// DeleteElements takes those values out of an array that are to go, each with its comma.
func DeleteElements(text []byte, goes func(element []byte) bool, path ...string) ([]byte, error) {
	at, elements, err := locateArray(text, path)
	if err != nil {
		return nil, err
	}
	for i := len(elements) - 1; i >= 0; i-- {
		if !goes(text[elements[i].start:elements[i].end]) {
			continue
		}
		cut := span{at.start + 1, elements[i].end} // from what is before it
		if i > 0 {
			cut.start = elements[i-1].end
		} else if len(elements) > 1 {
			cut.end = elements[i].end + int64(bytes.IndexByte(text[elements[i].end:], ',')) + 1
		}
		text = splice(text, cut.start, cut.end, "")
		elements = elements[:i]
	}
	return text, nil
}

// locateArray returns the array and its elements.
func locateArray(text []byte, path []string) (span, []span, error) {
	at, missing, err := locate(text, path)
	if err != nil || len(missing) > 0 {
		return span{}, nil, errors.Join(fmt.Errorf("there is no array %q", path[len(path)-1]), err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text[at.start:at.end]))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return span{}, nil, errors.Join(fmt.Errorf("%q is no array", path[len(path)-1]), err)
	}
	var elements []span
	for decoder.More() {
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return span{}, nil, err
		}
		end := at.start + decoder.InputOffset()
		elements = append(elements, span{end - int64(len(value)), end})
	}
	return at, elements, nil
}
