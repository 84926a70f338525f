package deploy

import (
	"strings"
	"testing"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

func TestDeployOptions(t *testing.T) {
	at := config.Options{Listen: "127.0.0.1:5000"}
	for want, o := range map[string]Options{
		"":                      {Options: at, User: "ci", Password: "x"},
		"has no port between":   {Options: config.Options{Listen: "127.0.0.1:0"}},
		"go together":           {Options: config.Options{Listen: "127.0.0.1:5000", CertFile: "c"}},
		"exclude each other":    {Options: config.Options{Listen: "127.0.0.1:5000", CertFile: "c", KeyFile: "k", Insecure: true}},
		"the password is empty": {Options: at, User: "ci"},
		"user name is empty":    {Options: at, Password: "x"},
		"has a colon":           {Options: at, User: "c:i", Password: "x"},
	} {
		registrytest.WantError(t, o.Check(), want)
	}
}

func TestTag(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "v1.2.3", "v1.2.3+dirty": "v1.2.3-dirty", "(devel)": "devel", "": "latest", ".-": "latest",
	} {
		if got := tag(version); got != want {
			t.Errorf("tag(%q) = %q, want %q", version, got, want)
		}
	}
}

func TestDeployWithQuota(t *testing.T) {
	if got := strings.Join(Options{Options: config.Options{Limits: config.Limits{Quota: 5000}}}.command(), " "); !strings.HasSuffix(got, " --quota 5000") {
		t.Errorf("the container runs %s", got)
	}
}

func TestDeployOfACacheWithLoginNeedsLogins(t *testing.T) {
	s := newSite(t)
	s.options.Proxy = config.ProxyOptions{URL: "http://127.0.0.1:1", User: "ci", PasswordFile: registrytest.Write(t, []byte("secret\n"))}
	s.fails("this cache has a login at http://127.0.0.1:1, and would give to anyone what only that may read there")
}
