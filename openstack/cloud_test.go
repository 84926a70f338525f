package openstack

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/openstack/clouds"
	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

// openrc are demo's variables for a fake cloud, changed or added to.
func openrc(fake *fakecloud.Cloud, changes map[string]string) func(string) string {
	all := map[string]string{
		"OS_AUTH_URL": fake.URL, "OS_USERNAME": "demo", "OS_PASSWORD": fakecloud.Password, "OS_PROJECT_NAME": "demo",
		"OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
	}
	maps.Copy(all, changes)
	return func(name string) string { return all[name] }
}

// newFake starts a fake cloud and logs demo in.
func newFake(t *testing.T) (*fakecloud.Cloud, *Cloud) {
	t.Helper()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	cloud, err := logIn(t, openrc(fake, nil))
	if err != nil {
		t.Fatal(err)
	}
	return fake, cloud
}

func logIn(t *testing.T, env func(string) string) (*Cloud, error) {
	t.Helper()
	return openWith(t, env, Selection{Agent: "test"})
}

// openWith does what Open does, with variables of its own.
func openWith(t *testing.T, env func(string) string, s Selection) (*Cloud, error) {
	t.Helper()
	found, err := clouds.Find(s.Cloud, s.Given, env)
	if err != nil {
		return nil, notFound(err)
	}
	return open(t.Context(), found, s)
}

func variables(all map[string]string) func(string) string {
	return func(name string) string { return all[name] }
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func breaks(t *testing.T, fake *fakecloud.Cloud, fault fakecloud.Fault) {
	t.Helper()
	if err := fake.Break(fault); err != nil {
		t.Fatal(err)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	for name, test := range map[string]struct {
		env  map[string]string
		want []string // parts of the error; none when it succeeds
	}{
		"password":               {nil, nil},
		"no version in the URL":  {map[string]string{"OS_AUTH_URL": fake.URL + "/"}, nil},
		"no domains":             {map[string]string{"OS_USER_DOMAIN_NAME": "", "OS_PROJECT_DOMAIN_NAME": ""}, nil},
		"project by id":          {map[string]string{"OS_PROJECT_ID": fakecloud.ProjectID}, nil},
		"wrong password":         {map[string]string{"OS_PASSWORD": "hunter2"}, []string{"log in to " + fake.URL, "The request you have made requires authentication.", "(req-"}},
		"token":                  {map[string]string{"OS_USERNAME": "", "OS_PASSWORD": "", "OS_TOKEN": fake.Token()}, nil},
		"token without scope":    {map[string]string{"OS_USERNAME": "", "OS_PASSWORD": "", "OS_PROJECT_NAME": "", "OS_TOKEN": fake.Token()}, nil},
		"wrong token":            {map[string]string{"OS_USERNAME": "", "OS_PASSWORD": "", "OS_TOKEN": "hunter2"}, []string{"log in to " + fake.URL, "Could not recognize Fernet token", "(req-"}},
		"application credential": {map[string]string{"OS_USERNAME": "", "OS_PASSWORD": "", "OS_APPLICATION_CREDENTIAL_ID": fakecloud.CredentialID, "OS_APPLICATION_CREDENTIAL_SECRET": fakecloud.CredentialSecret}, nil},
		"wrong secret":           {map[string]string{"OS_USERNAME": "", "OS_PASSWORD": "", "OS_APPLICATION_CREDENTIAL_ID": fakecloud.CredentialID, "OS_APPLICATION_CREDENTIAL_SECRET": "hunter2"}, []string{"requires authentication"}},
		"nobody there":           {map[string]string{"OS_AUTH_URL": "http://127.0.0.1:1/v3"}, []string{"log in to http://127.0.0.1:1/v3", "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, err := logIn(t, openrc(fake, test.env))
			if test.want != nil {
				openstacktest.WantError(t, err, test.want...)
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error tells the secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cloud.Images(t.Context()); err != nil {
				t.Errorf("logged in, but: %v", err)
			}
		})
	}
}

// TestOpenOfNoCloud is not parallel: Open reads the process's variables.
func TestOpenOfNoCloud(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, file, "clouds: {}\n")
	t.Setenv("OS_CLIENT_CONFIG_FILE", file)
	_, err := Open(t.Context(), Selection{Cloud: "none"})
	openstacktest.WantError(t, err, `use cloud "none": cloud "none" not found in clouds.yaml`)
	openstacktest.WantHint(t, err, "clouds.yaml is looked for in")

	t.Setenv("OS_AUTH_URL", "http://127.0.0.1:1")
	t.Setenv("OS_AUTH_TYPE", "v3kerberos")
	_, err = Open(t.Context(), Selection{})
	openstacktest.WantError(t, err, "use http://127.0.0.1:1: auth_type v3kerberos: ndock cannot log in this way")
	openstacktest.WantHint(t, err, "openstack application credential create NAME")
	if !errors.Is(err, clouds.ErrLoginMethod) {
		t.Errorf("%v is not ErrLoginMethod", err)
	}
}

func TestExpiredToken(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"password": nil,
		"token":    {"OS_USERNAME": "", "OS_PASSWORD": "", "OS_TOKEN": "token-1"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := fakecloud.New()
			t.Cleanup(fake.Close)
			fake.Token()
			cloud, err := logIn(t, openrc(fake, env))
			if err != nil {
				t.Fatal(err)
			}
			breaks(t, fake, fakecloud.TokensExpired)
			_, err = cloud.Servers(t.Context())
			openstacktest.WantError(t, err, "list servers: The request you have made requires authentication. (req-")
			openstacktest.WantHint(t, err, "check the credentials, or the token's age")
		})
	}
}

func TestTraceTellsNoSecrets(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	var trace strings.Builder
	cloud, err := openWith(t, openrc(fake, nil), Selection{Trace: &trace})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cloud.Servers(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"POST " + fake.URL + "/auth/tokens: 201 Created req-", "/servers/detail: 200 OK req-"} {
		if !strings.Contains(trace.String(), want) {
			t.Errorf("the trace has no %q:\n%s", want, &trace)
		}
	}
	for _, secret := range []string{fakecloud.Password, "token-1"} {
		if strings.Contains(trace.String(), secret) {
			t.Errorf("the trace tells %q:\n%s", secret, &trace)
		}
	}
}

// TestLinkIsASecret: where a service redirects to is signed, as in Swift's temporary addresses, and is told neither in an
// error nor in the trace.
func TestLinkIsASecret(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	for what, target := range map[string]string{"another host": "http://localhost:1", "nobody": "http://127.0.0.1:1"} {
		glance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target+"/there?temp_url_sig=private", http.StatusTemporaryRedirect)
		}))
		t.Cleanup(glance.Close)
		var trace strings.Builder
		cloud, err := openWith(t, openrc(fake, map[string]string{"OS_IMAGE_ENDPOINT_OVERRIDE": glance.URL + "/v2/"}), Selection{Trace: &trace})
		if err != nil {
			t.Fatal(err)
		}
		_, err = cloud.Images(t.Context())
		openstacktest.WantError(t, err, strings.TrimPrefix(target, "http://"))
		if strings.Contains(err.Error()+trace.String(), "private") {
			t.Errorf("%s: error %v, and the trace is\n%s", what, err, &trace)
		}
	}
}
