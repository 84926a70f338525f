package serve

import (
	"errors"
	"sync"

	distauth "github.com/distribution/distribution/v3/registry/auth"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/auth/keystone"
)

// registerLogins gives distribution our ways to log in, by the names under which its configuration files know them.
var registerLogins = sync.OnceValue(func() error {
	return errors.Join(distauth.Register("htpasswd", htpasswd.Controller), distauth.Register("keystone", keystone.Controller))
})

// checkLogins finds out before distribution does, whose words for it are worse, what cannot be used.
func checkLogins(o keystone.Options) error {
	if o.URL == "" {
		return nil
	}
	_, err := keystone.NewSource(o)
	return err
}
