package serve

import (
	"errors"
	"sync"

	distauth "github.com/distribution/distribution/v3/registry/auth"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/auth/keystone"
)

// registerLogins registers ndock's access controllers with distribution, by the names that its configuration files use.
var registerLogins = sync.OnceValue(func() error {
	return errors.Join(distauth.Register("htpasswd", htpasswd.Controller), distauth.Register("keystone", keystone.Controller))
})

// checkLogins finds mistakes in the options before distribution does, whose errors are harder to understand.
func checkLogins(o keystone.Options) error {
	if o.URL == "" {
		return nil
	}
	_, err := keystone.NewSource(o)
	return err
}
