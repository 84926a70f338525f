package glance

// maxElements is how many elements a manifest may have: each takes much more memory than text. 4096 layers with annotations have fewer.
const maxElements = 1 << 16

// Elements counts the elements of a JSON text while it comes: its values, and the names of those in objects.
type Elements struct {
	count    int
	inString bool
	escaped  bool
}

// Add takes the next bytes of the text. It returns false once there are more elements than any manifest has.
func (e *Elements) Add(text []byte) bool {
	for _, b := range text {
		switch {
		case e.escaped:
			e.escaped = false
		case e.inString:
			e.escaped, e.inString = b == '\\', b != '"'
		case b == '"':
			e.inString = true
		case b == '{', b == '[', b == ',', b == ':':
			e.count++
		}
	}
	return e.count <= maxElements
}

// tooManyElements returns whether a text has more elements than any manifest.
func tooManyElements(text []byte) bool { return !new(Elements).Add(text) }
