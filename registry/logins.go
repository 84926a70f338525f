package registry

import (
	"errors"
	"fmt"
	"sync"

	"github.com/distribution/distribution/v3/registry/auth"

	"ndock/registry/htpasswd"
)

// realm is what clients show when they ask for a password.
const realm = "ndock registry"

// registerLogins gives distribution our ways to log in, by the names under which its configuration files know them.
var registerLogins = sync.OnceValue(func() error {
	return errors.Join(auth.Register("htpasswd", htpasswd.Controller))
})

// withLogin sets a login, unless it is there.
func withLogin(text []byte, user, password string) ([]byte, error) {
	logins, err := htpasswd.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the logins that are there: %w", err)
	}
	for _, one := range logins {
		if one.Is(user, password) {
			return text, nil
		}
	}
	made, err := htpasswd.New(user, password)
	if err != nil {
		return nil, err
	}
	return htpasswd.Set(text, made), nil
}
