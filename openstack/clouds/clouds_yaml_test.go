package clouds

import (
	"testing"

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

// FuzzCloudsYAML reads any file as clouds.yaml, and asks for all that ndock asks.
func FuzzCloudsYAML(f *testing.F) {
	for _, test := range cloudstest.Cases {
		f.Add(test.Files["clouds.yaml"])
	}
	f.Fuzz(func(t *testing.T, content string) {
		parsed, err := parseYAML([]byte(content))
		if err != nil {
			return
		}
		files := configFiles{clouds: parsed.field("clouds"), public: parsed.field("public_clouds")}
		for _, name := range files.names() {
			_, _ = files.login(name, func(string) string { return "" }) // an error is as good
		}
	})
}
