package registry

import (
	"errors"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/auth"

	"ndock/registry/htpasswd"
	"ndock/registry/keystone"
)

// realm is what clients show when they ask for a password.
const realm = "ndock registry"

// registerLogins gives distribution our ways to log in, by the names under which its configuration files know them.
var registerLogins = sync.OnceValue(func() error {
	return errors.Join(auth.Register("htpasswd", htpasswd.Controller), auth.Register("keystone", keystone.Controller))
})

// checkLogins finds out before distribution does, whose words for it are worse, what cannot be used.
func (o ServeOptions) checkLogins() error {
	if o.Keystone.URL == "" {
		return nil
	}
	_, err := keystone.NewSource(o.Keystone)
	return err
}

// auth is the part of distribution's configuration that says who may come in; nothing lets anyone in.
func (o ServeOptions) auth() configuration.Auth {
	switch {
	case o.Htpasswd != "":
		return configuration.Auth{"htpasswd": {"realm": realm, "path": o.Htpasswd}}
	case o.Keystone.URL != "":
		parameters := o.Keystone.Parameters()
		parameters["realm"] = realm
		return configuration.Auth{"keystone": parameters}
	}
	return nil
}

// MaxPassword is the longest that a login can have, in bytes.
const MaxPassword = htpasswd.MaxPassword

// CheckUser tells what is wrong with the name of a login.
func CheckUser(name string) error { return htpasswd.CheckUser(name) }
