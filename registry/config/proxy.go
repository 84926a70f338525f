package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry"
	"ndock/registry/auth/keystone"
)

// defaultTTL is distribution's time to live in a cache.
const defaultTTL = 7 * 24 * time.Hour

// ProxyOptions make the registry a pull-through cache of another registry. Nothing can be pushed to it.
type ProxyOptions struct {
	URL          string // of the other, the upstream
	User         string // there, with a password in a file
	PasswordFile string
	Public       bool // anyone may read here what User may read there
}

// Check returns what is wrong with the options.
func (o ProxyOptions) Check() error {
	switch {
	case o.URL == "" && (o.User != "" || o.PasswordFile != ""):
		return errors.New("--proxy is missing")
	case o.URL == "":
		return nil
	case (o.User == "") != (o.PasswordFile == ""):
		return errors.New("--proxy-user and --proxy-password-file go together")
	}
	return checkURL("--proxy", o.URL)
}

// CheckReaders refuses a cache that has a login at its upstream, and would give anyone what that login may read, or the
// login itself.
func (o ProxyOptions) CheckReaders(c *configuration.Configuration) error {
	if at, err := url.Parse(c.Proxy.RemoteURL); err == nil && at.User != nil {
		return &registry.Error{
			Err:  errors.New("proxy.remoteurl has a login in it, which clients of the cache would be shown"),
			Help: "give it as proxy.username and proxy.password",
		}
	}
	hasLogin := c.Proxy.RemoteURL != "" && (c.Proxy.Username != "" || c.Proxy.Exec != nil)
	if !hasLogin || o.Public || !anyoneReads(c.Auth) {
		return nil
	}
	return &registry.Error{
		Err:  fmt.Errorf("this cache has a login at %s, and would give to anyone what only that may read there", c.Proxy.RemoteURL),
		Help: "have clients log in, or give --proxy-public to have it so",
	}
}

// anyoneReads returns whether anyone may read.
func anyoneReads(auth configuration.Auth) bool {
	return len(auth) == 0 || auth["keystone"]["read"] == keystone.ReadAnyone
}

// Override writes the options over the configuration.
func (o ProxyOptions) Override(c *configuration.Proxy) error {
	if o.URL == "" {
		return nil
	}
	c.RemoteURL = strings.TrimSuffix(o.URL, "/")
	if o.User == "" {
		return nil
	}
	password, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return fmt.Errorf("read the upstream's password: %w", err)
	}
	c.Username, c.Password = o.User, strings.TrimRight(string(password), "\r\n")
	return nil
}

// ProxyTTL returns after which time without a pull an image is removed from a cache; zero for never.
func ProxyTTL(c *configuration.Configuration) time.Duration {
	if c.Proxy.TTL == nil {
		return defaultTTL
	}
	return *c.Proxy.TTL
}
