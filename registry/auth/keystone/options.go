package keystone

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Who may read the repositories of projects that are not his, and the catalog, which names them all.
const (
	ReadNone          = "none"
	ReadAuthenticated = "authenticated"
	ReadAnyone        = "anyone"
)

// DefaultDomain is the domain that every Keystone has.
const DefaultDomain = "Default"

// DefaultPushRoles returns the roles that may push by default.
func DefaultPushRoles() []string { return []string{"member", "admin"} }

// Options say where Keystone is, and what its users may do.
type Options struct {
	URL       string
	CACert    string   // file; the system's CAs without
	Domain    string   // of users who name no other, and of projects that go by their names; "Default" when empty
	Read      string   // elsewhere; ReadNone when empty
	PushRoles []string // DefaultPushRoles when empty
	Insecure  bool     // plain HTTP to another host
	Glance    bool     // the images are in Glance, which decides what a role may do: no push roles, and a catalog of one's own
}

// Check returns what is wrong with the options. It looks nothing up.
func (o Options) Check() error {
	at, err := url.Parse(o.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || at.User != nil || at.RawQuery != "":
		return errors.New("the URL of Keystone is not http(s)://HOST:PORT/v3")
	case at.Scheme == "http" && !o.Insecure && !loopback(at.Hostname()):
		return fmt.Errorf("plain HTTP to Keystone at %s shows passwords to the network: give an https URL, or --insecure to have it so", at.Host)
	case !slices.Contains([]string{"", ReadNone, ReadAuthenticated, ReadAnyone}, o.Read):
		return fmt.Errorf("nobody is called %q who may read elsewhere; there are none, authenticated, anyone", o.Read)
	case o.Glance && o.Read != "" && o.Read != ReadNone:
		return fmt.Errorf("images in Glance are read with the user's own token: %s cannot read elsewhere", o.Read)
	case o.Glance && len(o.PushRoles) > 0:
		return errors.New("who may push images to Glance is for Glance's policy to say, not for push roles")
	case slices.Contains(o.PushRoles, ""):
		return errors.New("the name of a push role is empty")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (o Options) withDefaults() Options {
	if o.Domain == "" {
		o.Domain = DefaultDomain
	}
	if o.Read == "" {
		o.Read = ReadNone
	}
	if len(o.PushRoles) == 0 {
		o.PushRoles = DefaultPushRoles()
	}
	return o
}

// Parameters returns the options as in distribution's configuration.
func (o Options) Parameters() map[string]any {
	return map[string]any{
		"url": o.URL, "cacert": o.CACert, "domain": o.Domain, "read": o.Read, "push-roles": o.PushRoles, "insecure": o.Insecure,
	}
}

// Parse reads the parameters. It refuses unknown ones, each of which may be a misspelt restriction.
func Parse(parameters map[string]any) (o Options, err error) {
	for name, value := range parameters {
		ok := true
		switch name {
		case "url":
			o.URL, ok = value.(string)
		case "cacert":
			o.CACert, ok = value.(string)
		case "domain":
			o.Domain, ok = value.(string)
		case "read":
			o.Read, ok = value.(string)
		case "insecure":
			o.Insecure, ok = value.(bool)
		case "glance":
			o.Glance, ok = value.(bool)
		case "push-roles":
			o.PushRoles, ok = parseList(value)
		case "log", "realm", "project":
		default:
			return o, fmt.Errorf("there is no %q; there are url, cacert, domain, read, push-roles, insecure, realm", name)
		}
		if !ok {
			return o, fmt.Errorf("%s: %v is of the wrong kind", name, value)
		}
	}
	return o, nil
}

// parseList reads a list, or a text with commas, as environment variables have it.
func parseList(value any) ([]string, bool) {
	switch all := value.(type) {
	case []string:
		return all, true
	case string:
		return strings.FieldsFunc(all, func(r rune) bool { return r == ',' || r == ' ' }), true
	case []any:
		var found []string
		for _, one := range all {
			word, ok := one.(string)
			if !ok {
				return nil, false
			}
			found = append(found, word)
		}
		return found, true
	}
	return nil, false
}
