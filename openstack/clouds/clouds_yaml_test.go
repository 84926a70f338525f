package clouds

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"ndock/openstack/clouds/cloudstest"
)

func TestHostileCloudsYAML(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"aliases of aliases": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\nclouds: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
		"an alias of itself": "clouds: &c {c: *c}\n",
	} {
		if _, err := parseYAML([]byte(content)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzCloudsYAML checks that any clouds.yaml that is read means the same when it is written in another way, and that a login
// can be sent, names each thing once and keeps its limits.
func FuzzCloudsYAML(f *testing.F) {
	for _, test := range cloudstest.Cases {
		f.Add(test.Files["clouds.yaml"])
	}
	f.Add("a: &a {password: 0123}\nclouds: {c: {<<: *a, auth_url: u, username: u, x: ~, y: [], 0x1: 12e5, regions: ['a,b']}}")
	f.Fuzz(func(t *testing.T, content string) {
		parsed, err := parseYAML([]byte(content))
		if err != nil {
			return
		}
		other, err := yaml.Marshal(plain(parsed))
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseYAML(other)
		if err != nil || !reflect.DeepEqual(again, parsed) {
			t.Fatalf("%q is %v, and written as %q it is %v, %v", content, parsed, other, again, err)
		}
		files := configFiles{clouds: parsed.field("clouds"), public: parsed.field("public_clouds")}
		for _, name := range files.names() {
			if login, err := files.login(name, nil, func(string) string { return "" }); err == nil {
				checkLogin(t, login)
			}
		}
	})
}

// plain returns a value as what yaml writes, without tags, anchors and merges.
func plain(v value) any {
	switch {
	case v.fields != nil:
		all := map[string]any{}
		for name, field := range v.fields {
			all[name] = plain(field)
		}
		return all
	case v.list != nil:
		all := []any{}
		for _, one := range v.list {
			all = append(all, plain(one))
		}
		return all
	}
	return v.text
}

func checkLogin(t *testing.T, login Login) {
	t.Helper()
	auth := login.Auth
	if !strings.HasSuffix(auth.IdentityEndpoint, "/v3") || strings.Contains(login.Endpoint.Region, ",") || login.Timeout < 0 || login.Timeout > 1e6*time.Second {
		t.Errorf("got %q, region %q, timeout %s", auth.IdentityEndpoint, login.Endpoint.Region, login.Timeout)
	}
	if auth.UserID != "" && auth.Username != "" || auth.DomainID != "" && auth.DomainName != "" {
		t.Errorf("the user is named twice: %+v", auth)
	}
	scope, err := auth.ToTokenV3ScopeMap()
	if err != nil {
		t.Fatalf("the scope cannot be sent: %v", err)
	}
	if _, err := auth.ToTokenV3CreateMap(scope); err != nil {
		t.Errorf("the login cannot be sent: %v", err)
	}
}

// TestLocal: a working directory, which may be a stranger's, says which cloud is meant.
func TestLocal(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, test := range []struct {
		file string
		env  map[string]string
		want bool
	}{
		{"", nil, false},
		{"", map[string]string{"OS_CLIENT_CONFIG_FILE": "its.yaml"}, true},
		{"", map[string]string{"OS_CLIENT_SECURE_FILE": "../its.yaml"}, true},
		{"clouds.json", nil, true},
		{"clouds.yaml", nil, true},
		{"clouds.yaml", map[string]string{"OS_CLIENT_CONFIG_FILE": "/my.yaml"}, false},
	} {
		if test.file != "" {
			if err := os.WriteFile(test.file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := Local(variables(test.env)); got != test.want {
			t.Errorf("with %s and %v: %t", test.file, test.env, got)
		}
	}
}
