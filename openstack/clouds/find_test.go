package clouds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"ndock/openstack/internal/openstacktest"
)

func variables(all map[string]string) func(string) string {
	return func(name string) string { return all[name] }
}

func TestOpenrcScope(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		want gophercloud.AuthScope
	}{
		"names":                     {map[string]string{"OS_PROJECT_NAME": "p", "OS_PROJECT_DOMAIN_NAME": "d"}, gophercloud.AuthScope{ProjectName: "p", DomainName: "d"}},
		"domain by id":              {map[string]string{"OS_PROJECT_NAME": "p", "OS_PROJECT_DOMAIN_ID": "1"}, gophercloud.AuthScope{ProjectName: "p", DomainID: "1"}},
		"an id is enough":           {map[string]string{"OS_PROJECT_ID": "2", "OS_PROJECT_NAME": "p", "OS_PROJECT_DOMAIN_NAME": "d"}, gophercloud.AuthScope{ProjectID: "2"}},
		"id and name of the domain": {map[string]string{"OS_PROJECT_NAME": "p", "OS_PROJECT_DOMAIN_ID": "1", "OS_PROJECT_DOMAIN_NAME": "d"}, gophercloud.AuthScope{ProjectName: "p", DomainID: "1"}},
		"tenants, as once":          {map[string]string{"OS_TENANT_NAME": "p"}, gophercloud.AuthScope{ProjectName: "p", DomainID: "default"}},
		"tenant by id":              {map[string]string{"OS_TENANT_ID": "2"}, gophercloud.AuthScope{ProjectID: "2"}},
		"one domain for all":        {map[string]string{"OS_PROJECT_NAME": "p", "OS_DOMAIN_NAME": "d"}, gophercloud.AuthScope{ProjectName: "p", DomainName: "d"}},
		"default domain by name":    {map[string]string{"OS_PROJECT_NAME": "p", "OS_DEFAULT_DOMAIN_NAME": "d"}, gophercloud.AuthScope{ProjectName: "p", DomainName: "d"}},
		"default domain by id":      {map[string]string{"OS_PROJECT_NAME": "p", "OS_DEFAULT_DOMAIN": "3"}, gophercloud.AuthScope{ProjectName: "p", DomainID: "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.env["OS_AUTH_URL"], test.env["OS_USERNAME"], test.env["OS_PASSWORD"] = "http://keystone/v3", "u", "x"
			found, err := fromEnvironment(nil, variables(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if found.Auth.Scope == nil || *found.Auth.Scope != test.want {
				t.Errorf("scope %+v, want %+v", found.Auth.Scope, test.want)
			}
		})
	}
}

func TestOpenrcUser(t *testing.T) {
	t.Parallel()
	type user struct{ name, id, domainID, domainName string }
	for name, test := range map[string]struct {
		env  map[string]string
		want user
	}{
		"name and domain":  {map[string]string{"OS_USERNAME": "u", "OS_USER_DOMAIN_NAME": "d", "OS_PROJECT_DOMAIN_NAME": "other"}, user{"u", "", "", "d"}},
		"domain by id":     {map[string]string{"OS_USERNAME": "u", "OS_USER_DOMAIN_ID": "1", "OS_USER_DOMAIN_NAME": "d"}, user{"u", "", "1", ""}},
		"no domain":        {map[string]string{"OS_USERNAME": "u"}, user{"u", "", "default", ""}},
		"an id needs none": {map[string]string{"OS_USER_ID": "7", "OS_USER_DOMAIN_NAME": "d"}, user{"", "7", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.env["OS_AUTH_URL"], test.env["OS_PASSWORD"] = "http://keystone/v3", "x"
			found, err := fromEnvironment(nil, variables(test.env))
			if err != nil {
				t.Fatal(err)
			}
			if got := (user{found.Auth.Username, found.Auth.UserID, found.Auth.DomainID, found.Auth.DomainName}); got != test.want {
				t.Errorf("user %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestOpenrcApplicationCredential(t *testing.T) {
	t.Parallel()
	// An openrc that was changed over by hand still names the project; a credential has one of its own.
	found, err := fromEnvironment(nil, variables(map[string]string{
		"OS_AUTH_URL": "http://keystone/v3", "OS_PROJECT_NAME": "p", "OS_USERNAME": "u", "OS_USER_DOMAIN_NAME": "d",
		"OS_APPLICATION_CREDENTIAL_NAME": "n", "OS_APPLICATION_CREDENTIAL_SECRET": "s",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if found.Auth.Scope != nil {
		t.Errorf("scope %+v, want none", found.Auth.Scope)
	}
	if found.Auth.ApplicationCredentialName != "n" || found.Auth.Username != "u" || found.Auth.DomainName != "d" {
		t.Errorf("credential %q of %q in %q", found.Auth.ApplicationCredentialName, found.Auth.Username, found.Auth.DomainName)
	}
}

func TestOpenrcEndpoint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ env, value, want string }{
		{"", "", "public"}, {"OS_INTERFACE", "internal", "internal"}, {"OS_ENDPOINT_TYPE", "internalURL", "internal"}, {"OS_INTERFACE", "adminURL", "admin"},
	} {
		found, err := fromEnvironment(nil, variables(map[string]string{"OS_AUTH_URL": "http://keystone/v3", "OS_TOKEN": "x", "OS_REGION_NAME": "r", test.env: test.value}))
		if err != nil {
			t.Fatal(err)
		}
		if string(found.Endpoint.Availability) != test.want || found.Endpoint.Region != "r" {
			t.Errorf("%s=%s: %s in %s, want %s in r", test.env, test.value, found.Endpoint.Availability, found.Endpoint.Region, test.want)
		}
	}
}

func TestNoCloudNamed(t *testing.T) {
	t.Parallel()
	_, err := fromEnvironment(nil, variables(nil))
	openstacktest.WantError(t, err, "find a cloud: neither OS_CLOUD nor OS_AUTH_URL is set")
	openstacktest.WantHint(t, err, "export OS_CLOUD=NAME")
}

func TestCertificateFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.pem")
	_, err := fromEnvironment(nil, variables(map[string]string{"OS_AUTH_URL": "https://keystone/v3", "OS_TOKEN": "x", "OS_CACERT": missing}))
	openstacktest.WantError(t, err, "read cacert: ", missing, "no such file")

	empty := filepath.Join(t.TempDir(), "empty.pem")
	write(t, empty, "not a certificate")
	_, err = fromEnvironment(nil, variables(map[string]string{"OS_AUTH_URL": "https://keystone/v3", "OS_TOKEN": "x", "OS_CACERT": empty}))
	openstacktest.WantError(t, err, "read cacert: "+empty+" holds no certificate")
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"": false, "false": false, "true": true, "True": true} {
		found, err := fromEnvironment(nil, variables(map[string]string{"OS_AUTH_URL": "https://keystone/v3", "OS_TOKEN": "x", "OS_INSECURE": value}))
		if err != nil {
			t.Fatal(err)
		}
		if found.TLS.InsecureSkipVerify != want {
			t.Errorf("OS_INSECURE=%s: %v, want %v", value, found.TLS.InsecureSkipVerify, want)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const cloudsYAML = `clouds:
  one:
    auth: {auth_url: http://one/v3, username: u, password: in-clouds, project_name: p, user_domain_name: d, project_domain_name: e}
    region_name: r
  two:
    auth: {auth_url: http://two/v3, application_credential_id: i, application_credential_secret: s}
  plain:
    auth: {auth_url: http://plain/v3, username: u, password: x, project_name: p}
`

// TestCloudsYAML is not parallel: where the file is, the environment says.
func TestCloudsYAML(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
	write(t, filepath.Join(dir, "clouds.yaml"), cloudsYAML)
	// A cloud that is named goes before whatever an openrc has left behind.
	t.Setenv("OS_AUTH_URL", "http://openrc/v3")
	t.Setenv("OS_USERNAME", "in-openrc")
	t.Setenv("OS_PASSWORD", "in-openrc")

	one, err := Find("one", nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if one.Auth.IdentityEndpoint != "http://one/v3" || one.Auth.Password != "in-clouds" || one.Auth.DomainName != "d" || one.Endpoint.Region != "r" {
		t.Errorf("cloud one is %+v in %q", one.Auth, one.Endpoint.Region)
	}
	if scope := one.Auth.Scope; scope == nil || scope.ProjectName != "p" || scope.DomainName != "e" {
		t.Errorf("cloud one's scope is %+v", scope)
	}

	two, err := Find("two", nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if two.Auth.ApplicationCredentialID != "i" || two.Auth.Scope != nil {
		t.Errorf("cloud two is %+v", two.Auth)
	}

	// openstackclient takes the default domain where a file names none.
	plain, err := Find("plain", nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if plain.Auth.DomainID != "default" || plain.Auth.Scope == nil || plain.Auth.Scope.DomainID != "default" {
		t.Errorf("cloud plain is %+v with scope %+v, want the default domain in both", plain.Auth, plain.Auth.Scope)
	}

	write(t, filepath.Join(dir, "secure.yaml"), "clouds: {one: {auth: {password: in-secure}}}\n")
	if one, err = Find("one", nil, os.Getenv); err != nil || one.Auth.Password != "in-secure" {
		t.Errorf("with secure.yaml the password is %q (%v), want in-secure", one.Auth.Password, err)
	}

	_, err = Find("three", nil, os.Getenv)
	openstacktest.WantError(t, err, `use cloud "three": `, "not found in clouds.yaml")
	openstacktest.WantHint(t, err, "clouds.yaml is looked for in")

	openrc, err := Find("", nil, os.Getenv)
	if err != nil || openrc.Auth.IdentityEndpoint != "http://openrc/v3" {
		t.Errorf("without a name it is %q (%v), want the openrc's", openrc.Auth.IdentityEndpoint, err)
	}
}

// TestUnreadableFiles: a file that cannot be read is passed over, as by openstacksdk, but when something is missing, it is
// told of.
func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	const whole, without = "clouds: {one: {auth: {auth_url: http://k, username: u, password: p}}}\n", "clouds: {one: {auth: {auth_url: http://k, username: u}}}\n"
	for name, test := range map[string]struct {
		clouds, unreadable string // what clouds.yaml has, and what cannot be read
		cloud              string
		want               string // error; none if empty
	}{
		"the password":             {without, "secure.yaml", "one", `use cloud "one": auth_type password: there is no password`},
		"the password, of unnamed": {without, "secure.yaml", "", `use cloud "one": auth_type password: there is no password`},
		"nothing":                  {whole, "secure.yaml", "one", ""},
		"the cloud":                {whole, "secure.json", "two", `use cloud "two": cloud "two" not found in clouds.yaml`},
		"a profile":                {"clouds: {one: {profile: p, auth: {username: u}}}\n", "clouds-public.yaml", "one", `use cloud "one": no clouds-public.yaml has the profile "p"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			dir := filepath.Join(home, ".config", "openstack")
			if err := os.MkdirAll(filepath.Join(dir, test.unreadable), 0o700); err != nil { // what is no file, root cannot read either
				t.Fatal(err)
			}
			if test.clouds != "" {
				write(t, filepath.Join(dir, "clouds.yaml"), test.clouds)
			}
			found, err := Find(test.cloud, nil, variables(map[string]string{"HOME": home}))
			if test.want == "" {
				if err != nil || found.Auth.Password != "p" {
					t.Errorf("password %q (%v)", found.Auth.Password, err)
				}
				return
			}
			openstacktest.WantError(t, err, test.want)
			openstacktest.WantHint(t, err, "what is missing may be in "+filepath.Join(dir, test.unreadable)+", which could not be read: it is not a regular file")
		})
	}
}

func TestBrokenCloudsYAML(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
	openstacktest.WantError(t, configFiles{}.unknown("one"), `use cloud "one": clouds file not found`)

	write(t, filepath.Join(dir, "clouds.yaml"), "clouds: [one\n")
	_, err := Find("one", nil, os.Getenv)
	openstacktest.WantError(t, err, `use cloud "one": `)

	write(t, filepath.Join(dir, "clouds.yaml"), strings.Replace(cloudsYAML, "region_name", "cacert: /no/such/ca.pem\n    region_name", 1))
	_, err = Find("one", nil, os.Getenv)
	openstacktest.WantError(t, err, `use cloud "one": `, "/no/such/ca.pem")
}
