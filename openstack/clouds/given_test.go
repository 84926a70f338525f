package clouds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"ndock/openstack/internal/openstacktest"
)

// TestGiven: what stands in the command line counts before clouds.yaml and before an openrc, in the same way.
func TestGiven(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	err := os.WriteFile(file, []byte(`clouds: {c: {regions: [One, Two], auth: {auth_url: "http://k/v3", user_id: "7", user_domain_id: e, password: x, project_id: "5", project_domain_id: f}}}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]map[string]string{
		"c": {"OS_CLIENT_CONFIG_FILE": file},
		"": {
			"OS_AUTH_URL": "http://k/v3", "OS_REGION_NAME": "One", "OS_USER_ID": "7", "OS_USER_DOMAIN_ID": "e", "OS_PASSWORD": "x", "OS_PROJECT_ID": "5",
			"OS_PROJECT_DOMAIN_ID": "f", "OS_CLIENT_CONFIG_FILE": file,
		},
	}
	for name, test := range map[string]struct {
		given Given
		want  func(*Login)
	}{
		"nothing":            {nil, func(*Login) {}},
		"an empty text":      {Given{"password": ""}, func(*Login) {}},
		"Keystone":           {Given{"auth_url": "http://other/"}, func(l *Login) { l.Auth.IdentityEndpoint = "http://other/v3" }},
		"a user":             {Given{"username": "u"}, func(l *Login) { l.Auth.UserID, l.Auth.Username, l.Auth.DomainID = "", "u", "e" }},
		"a user of a domain": {Given{"username": "u", "user_domain_name": "d"}, func(l *Login) { l.Auth.UserID, l.Auth.Username, l.Auth.DomainName = "", "u", "d" }},
		"another user":       {Given{"user_id": "8"}, func(l *Login) { l.Auth.UserID = "8" }},
		"a project":          {Given{"project_name": "p"}, func(l *Login) { l.Auth.Scope = &gophercloud.AuthScope{ProjectName: "p", DomainID: "f"} }},
		"a project of a domain": {Given{"project_name": "p", "project_domain_name": "g"}, func(l *Login) {
			l.Auth.Scope = &gophercloud.AuthScope{ProjectName: "p", DomainName: "g"}
		}},
		"all of the system": {Given{"system_scope": "all"}, func(l *Login) { l.Auth.Scope = &gophercloud.AuthScope{System: true} }},
		"a token": {Given{"token": "t"}, func(l *Login) {
			l.Auth.UserID, l.Auth.Password, l.Auth.TokenID = "", "", "t"
		}},
		"a credential": {Given{"application_credential_id": "i", "application_credential_secret": "s"}, func(l *Login) {
			l.Auth.UserID, l.Auth.Password, l.Auth.Scope, l.Auth.ApplicationCredentialID, l.Auth.ApplicationCredentialSecret = "", "", nil, "i", "s"
		}},
		"a region":     {Given{"region_name": "Two"}, func(l *Login) { l.Endpoint.Region = "Two" }},
		"an interface": {Given{"interface": "internal"}, func(l *Login) { l.Endpoint.Availability = gophercloud.AvailabilityInternal }},
	} {
		for cloud, env := range sources {
			want := Login{
				Auth: gophercloud.AuthOptions{
					IdentityEndpoint: "http://k/v3", UserID: "7", Password: "x", Scope: &gophercloud.AuthScope{ProjectID: "5"},
				},
				Endpoint: gophercloud.EndpointOpts{Region: "One", Availability: gophercloud.AvailabilityPublic},
			}
			test.want(&want)
			got, err := Find(cloud, test.given, variables(env))
			if err != nil {
				t.Errorf("%s, cloud %q: %v", name, cloud, err)
				continue
			}
			scope, wanted := got.Auth.Scope, want.Auth.Scope
			got.Auth.Scope, want.Auth.Scope = nil, nil
			if got.Auth != want.Auth || (scope == nil) != (wanted == nil) || scope != nil && *scope != *wanted {
				t.Errorf("%s, cloud %q: %+v for %+v, want %+v for %+v", name, cloud, got.Auth, scope, want.Auth, wanted)
			}
			if got.Endpoint.Region != want.Endpoint.Region || got.Endpoint.Availability != want.Endpoint.Availability {
				t.Errorf("%s, cloud %q: %+v, want %+v", name, cloud, got.Endpoint, want.Endpoint)
			}
		}
	}
}

// TestGivenAlone: without a file and variables.
func TestGivenAlone(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOME": t.TempDir()}
	found, err := Find("", Given{"auth_url": "http://k", "username": "u", "password": "x", "project_name": "p"}, variables(env))
	if err != nil || found.Auth.Username != "u" || found.Auth.Scope.ProjectName != "p" || found.Name != "http://k" {
		t.Errorf("it is %+v (%v)", found, err)
	}
}

// TestGivenForNothing: who names a project or a user must not get another one, because the login has its own.
func TestGivenForNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	err := os.WriteFile(file, []byte(`clouds:
  id: {auth_type: v3applicationcredential, auth: {auth_url: "http://k", application_credential_id: i, application_credential_secret: s}}
  name: {auth: {auth_url: "http://k", username: u, application_credential_name: n, application_credential_secret: s}}
  token: {auth_type: token, auth: {auth_url: "http://k", token: t}}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]string{"id": "application credential", "name": "application credential", "token": "token"}
	for setting, clouds := range map[string]string{
		"project_name": "id name", "project_id": "id name", "project_domain_name": "id name", "project_domain_id": "id name", "system_scope": "id name",
		"username": "id token", "user_id": "id token", "user_domain_name": "id token", "user_domain_id": "id token",
	} {
		for cloud, method := range methods {
			_, err := Find(cloud, Given{setting: "all"}, variables(map[string]string{"OS_CLIENT_CONFIG_FILE": file}))
			if !strings.Contains(clouds, cloud) {
				if err != nil {
					t.Errorf("%s for %s: %v", setting, cloud, err)
				}
				continue
			}
			openstacktest.WantError(t, err, "cloud \""+cloud+"\"", "--os-"+strings.ReplaceAll(setting, "_", "-"), method)
			openstacktest.WantHint(t, err, "leave it out")
		}
	}
	_, err = Find("", Given{"project_name": "p"}, variables(map[string]string{
		"OS_AUTH_URL": "http://k", "OS_APPLICATION_CREDENTIAL_ID": "i", "OS_APPLICATION_CREDENTIAL_SECRET": "s",
	}))
	openstacktest.WantError(t, err, "http://k", "--os-project-name", "application credential")
	found, err := Find("id", Given{"username": "u", "password": "x", "project_name": "p"}, variables(map[string]string{"OS_CLIENT_CONFIG_FILE": file}))
	if err != nil || found.Auth.Scope == nil || found.Auth.Scope.ProjectName != "p" {
		t.Errorf("with a password: %+v (%v)", found.Auth, err)
	}
}

// TestGivenDomain counts before every domain that stands elsewhere, also those for all.
func TestGivenDomain(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"OS_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID", "OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID", "OS_DEFAULT_DOMAIN"} {
		env := map[string]string{"OS_AUTH_URL": "http://k", "OS_USERNAME": "u", "OS_PASSWORD": "x", "OS_PROJECT_NAME": "p", other: "7"}
		found, err := Find("", Given{"user_domain_name": "d", "project_domain_name": "e"}, variables(env))
		if err != nil {
			t.Fatal(err)
		}
		if got := found.Auth; got.DomainID != "" || got.DomainName != "d" || got.Scope.DomainID != "" || got.Scope.DomainName != "e" {
			t.Errorf("%s: %+v for %+v", other, got, got.Scope)
		}
		found, err = Find("", Given{"user_domain_name": "d", "user_domain_id": "8"}, variables(env))
		if err != nil || found.Auth.DomainID != "8" {
			t.Errorf("%s, with an id: %+v (%v)", other, found.Auth, err)
		}
	}
}
