package steps

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
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
			changes, err := node.Plan(t.Context(), steps(), new(lines).report)
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

// controller returns a machine with a Glance that lists formats, and that was started long ago.
func controller(t *testing.T) *fakeMachine {
	t.Helper()
	f := newFake(t, false)
	f.put("/etc/glance/glance-api.conf", "[image_format]\ncontainer_formats = bare\n", 0o640)
	f.put("/run/glance/glance-api.pid", "9\n", 0o644)
	f.process(9, 0)
	l, err := layout.FindController(f.root)
	f.must(err)
	f.Layout = l
	return f
}

// Who is killed before Glance is restarted has it restarted by the next run: else it goes on with the file of before.
func TestGlanceThatWasNotRestarted(t *testing.T) {
	const restart = "service glance-api restart"
	f := controller(t)
	tree := f.tree()
	f.kill(restart, func() { _, _ = node.Setup(t.Context(), f.ControllerSteps(), new(lines).report) })
	f.commands = nil
	_, err := node.Setup(t.Context(), f.ControllerSteps(), new(lines).report)
	f.must(err)
	if !slices.Equal(f.commands, []string{restart}) {
		t.Errorf("setup ran %q", f.commands)
	}
	f.kill(restart, func() { _, _ = node.Teardown(t.Context(), f.ControllerSteps(), new(lines).report) })
	f.commands = nil
	var said lines
	_, err = node.Teardown(t.Context(), f.ControllerSteps(), said.report)
	f.must(err)
	if after := f.tree(); after != tree || !slices.Equal(f.commands, []string{restart}) {
		t.Errorf("teardown ran %q and said\n%s\nthe tree was\n%s\nand is\n%s", f.commands, &said, tree, after)
	}
}

// A file that is recorded and not edited yet, or not forgotten yet, was not edited by anybody.
func TestGlancesFileThatIsRecordedAndAsBefore(t *testing.T) {
	f := controller(t)
	tree := f.tree()
	f.must(f.record().Keep(new(system.Changes), f.Layout.Config))
	var said lines
	_, err := node.Teardown(t.Context(), f.ControllerSteps(), said.report)
	f.must(err)
	if after := f.tree(); after != tree || strings.Contains(said.String(), "edited") {
		t.Errorf("said\n%s\nthe tree was\n%s\nand is\n%s", &said, tree, after)
	}
}
