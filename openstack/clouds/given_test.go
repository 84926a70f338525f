package clouds

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
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
