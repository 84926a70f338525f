package serve

import (
	"strings"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	distauth "github.com/distribution/distribution/v3/registry/auth"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/internal/registrytest"
)

// distribution's configuration files name our ways to log in.
func TestLoginsOfAConfigurationFile(t *testing.T) {
	if err := registerLogins(); err != nil {
		t.Fatal(err)
	}
	ci, err := htpasswd.New("ci", "secret")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"htpasswd: {realm: site, path: " + registrytest.Write(t, ci.Line()) + "}":                                  "",
		"htpasswd: {realm: site, path: missing}":                                                                   "read the logins: stat missing: no such file",
		"keystone: {url: 'https://keystone:5000/v3', domain: Site, read: authenticated, push-roles: [member, ci]}": "",
		"keystone: {url: 'http://keystone:5000/v3', insecure: true}":                                               "",
		"keystone: {url: 'http://keystone:5000/v3'}":                                                               "plain HTTP to Keystone",
		"keystone: {url: 'https://keystone', reed: none}":                                                          `auth.keystone: there is no "reed"`,
	} {
		c, err := configuration.Parse(strings.NewReader("version: 0.1\nstorage: {inmemory: {}}\nauth: {" + text + "}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = distauth.GetAccessController(c.Auth.Type(), c.Auth.Parameters())
		registrytest.WantError(t, err, want)
	}
}
