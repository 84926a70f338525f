package deploy

import (
	"strings"
	"testing"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

func TestDeployOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"":                      {Listen: "127.0.0.1:5000", User: "ci", Password: "x"},
		"has no port between":   {Listen: "127.0.0.1:0"},
		"go together":           {Listen: "127.0.0.1:5000", CertFile: "c"},
		"exclude each other":    {Listen: "127.0.0.1:5000", CertFile: "c", KeyFile: "k", Insecure: true},
		"the password is empty": {Listen: "127.0.0.1:5000", User: "ci"},
		"user name is empty":    {Listen: "127.0.0.1:5000", Password: "x"},
		"has a colon":           {Listen: "127.0.0.1:5000", User: "c:i", Password: "x"},
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
	if got := strings.Join(Options{Limits: config.Limits{Quota: 5000}}.command(), " "); !strings.HasSuffix(got, " --quota 5000") {
		t.Errorf("the container runs %s", got)
	}
}

func TestDeployOfACacheWithLoginNeedsLogins(t *testing.T) {
	s := newSite(t)
	s.options.Proxy = config.ProxyOptions{URL: "http://127.0.0.1:1", User: "ci", PasswordFile: registrytest.Write(t, []byte("secret\n"))}
	s.fails("this cache has a login at http://127.0.0.1:1, and would give to anyone what only that may read there")
}
