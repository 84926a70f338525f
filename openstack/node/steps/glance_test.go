package steps

import (
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
)

func TestGlanceTakesDockerImages(t *testing.T) {
	const listed = "[DEFAULT]\n[image_format]\n# what we take\ncontainer_formats = bare, ami\n"
	for name, test := range map[string]struct{ conf, want, plan string }{
		"named without it": {listed, "[DEFAULT]\n[image_format]\n# what we take\ncontainer_formats = bare,ami,docker\n", "glance: add docker to container_formats in /etc/glance/glance-api.conf\nglance: restart service glance-api"},
		"named with it":    {"[image_format]\ncontainer_formats = docker,bare\n", "", ""},
		"not named":        {"[image_format]\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.put("/etc/glance/glance-api.conf", test.conf, 0o640)
			l, err := layout.FindController(f.root)
			f.must(err)
			f.Layout = l
			steps := func() []node.Step { return f.ControllerSteps() }
			var plan lines
			changes, err := node.Plan(t.Context(), steps(), plan.report)
			f.must(err)
			for _, change := range changes {
				plan.report("%s: %s", change.Step, change.Text)
			}
			if got := strings.ReplaceAll(plan.String(), f.root, ""); got != test.plan {
				t.Errorf("planned %s", got)
			}
			before := f.tree()
			_, err = node.Setup(t.Context(), steps(), new(lines).report)
			f.must(err)
			got, err := os.ReadFile(f.path("/etc/glance/glance-api.conf"))
			if test.want != "" && string(got) != test.want || err != nil {
				t.Errorf("it is %s, %v", got, err)
			}
			_, err = node.Teardown(t.Context(), steps(), new(lines).report)
			f.must(err)
			if after := f.tree(); after != before {
				t.Errorf("the tree is\n%s", after)
			}
		})
	}
}
