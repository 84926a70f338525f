package clouds

import "fmt"

// The variables of the environment that errors name as their Setting.
const (
	SettingCloud   = "OS_CLOUD"
	SettingAuthURL = "OS_AUTH_URL"
	SettingCA      = "OS_CACERT"
)

// AuthURLHint says where Keystone's address is from, and what it looks like.
const AuthURLHint = "OS_AUTH_URL or auth_url in clouds.yaml: http or https, the host, the port, and /v3, as in https://KEYSTONE:5000/v3"

// Error says why a cloud was not found, or cannot be logged in to as its settings say.
type Error struct {
	Op      string // what was tried, on which cloud or file
	Err     error
	Setting string // the environment's variable that would mend it, as OS_CLOUD; empty where it is none
	hint    string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what may help; empty where nothing is known.
func (e *Error) Hint() string { return e.hint }
