package attach

import (
	"fmt"
	"strings"
)

// Key is a control character that leaves a console, as it is typed; NoKey for none.
type Key int

// NoKey is never typed.
const NoKey Key = -1

// ParseKey reads ^X, ctrl-X or none.
func ParseKey(text string) (Key, error) {
	if text == "none" {
		return NoKey, nil
	}
	lower := strings.ToLower(text)
	letter, found := strings.CutPrefix(lower, "ctrl-")
	if !found {
		letter, found = strings.CutPrefix(lower, "^")
	}
	if upper := strings.ToUpper(letter); found && len(upper) == 1 && upper[0] >= '@' && upper[0] <= '_' {
		return Key(upper[0] - '@'), nil
	}
	return NoKey, fmt.Errorf("%q is no key that leaves: it is ^ or ctrl- and a letter or one of @[\\]^_, or none", text)
}

// String is how a user knows the key.
func (k Key) String() string {
	if k == NoKey {
		return "none"
	}
	return "Ctrl-" + string(rune('@'+k))
}
