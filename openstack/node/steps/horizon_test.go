package steps

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/layout"
)

const (
	localOfDebian  = "/usr/lib/python3/dist-packages/openstack_dashboard/local"
	snippetsOfTest = localOfDebian + "/local_settings.d"
)

// withHorizon returns a controller with Debian's Horizon, whose directory of snippets is a link to one in /etc.
func withHorizon(t *testing.T) *fakeMachine {
	t.Helper()
	f := newFake(t, false)
	f.put("/etc/glance/glance-api.conf", "[image_format]\n", 0o640)
	f.put(localOfDebian+"/__init__.py", "", 0o644)
	f.put("/etc/openstack-dashboard/local_settings.d/_0001_debian.py", "DEBUG = False\n", 0o644)
	link, err := filepath.Rel(f.path(localOfDebian), f.path("/etc/openstack-dashboard/local_settings.d"))
	f.must(err)
	f.must(os.Symlink(link, f.path(snippetsOfTest)))
	f.put("/usr/sbin/apache2", "", 0o755)
	f.put("/etc/init.d/apache2", "", 0o755)
	f.find()
	return f
}

// find looks for the controller anew.
func (f *fakeMachine) find() {
	l, err := layout.FindController(f.root)
	f.must(err)
	f.Layout = l
}

func (f *fakeMachine) setUpController() (string, error) {
	var said lines
	_, err := node.Setup(f.t.Context(), f.ControllerSteps(), said.report)
	return strings.ReplaceAll(said.String(), f.root, ""), err
}

func (f *fakeMachine) tearDownController() string {
	var said lines
	_, err := node.Teardown(f.t.Context(), f.ControllerSteps(), said.report)
	f.must(err)
	return strings.ReplaceAll(said.String(), f.root, "")
}

func TestHorizonShowsDockerImages(t *testing.T) {
	f := withHorizon(t)
	before := f.tree()
	said, err := f.setUpController()
	f.must(err)
	for _, want := range []string{"horizon: write " + localOfDebian + "/ndock.py", "horizon: write " + snippetsOfTest + "/_90_ndock.py", "horizon: restart service apache2"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	if got, err := os.ReadFile(f.path("/etc/openstack-dashboard/local_settings.d/_90_ndock.py")); err != nil || !strings.Contains(string(got), "openstack_dashboard.local.ndock") {
		t.Errorf("the snippet is %q, %v", got, err)
	}
	if !slices.Contains(f.commands, "service apache2 restart") {
		t.Errorf("setup ran %q", f.commands)
	}
	f.commands = nil
	if again, err := f.setUpController(); err != nil || len(f.commands) > 0 || strings.Contains(again, "write") {
		t.Errorf("the second setup ran %q, said\n%s\n%v", f.commands, again, err)
	}
	f.tearDownController()
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// A file that the operator has put in the place of one of ndock's stays, and setup says so.
func TestHorizonsFilesOfOthersStay(t *testing.T) {
	f := withHorizon(t)
	_, err := f.setUpController()
	f.must(err)
	f.put(localOfDebian+"/ndock.py", "# mine\n", 0o644)
	if _, err := f.setUpController(); err == nil || !strings.Contains(err.Error(), "/ndock.py is there already and is not ndock's") {
		t.Errorf("setup: %v", err)
	}
	said := f.tearDownController()
	if got, err := os.ReadFile(f.path(localOfDebian + "/ndock.py")); err != nil || string(got) != "# mine\n" {
		t.Errorf("it is %q, %v, after\n%s", got, err, said)
	}
	if _, err := os.Stat(f.path(snippetsOfTest + "/_90_ndock.py")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the snippet: %v", err)
	}
}

// Setup takes the files back if the web server does not start with them.
func TestHorizonThatDoesNotStart(t *testing.T) {
	f := withHorizon(t)
	before := f.tree()
	f.fail = map[string]string{"service apache2 restart": "apache2 is broken"}
	if said, err := f.setUpController(); err == nil || !strings.Contains(err.Error(), "apache2 is broken") || f.tree() != before {
		t.Errorf("%v\n%s\nthe tree was\n%s\nand is\n%s", err, said, before, f.tree())
	}
}

// Setup restarts no other web server than the usual ones, and says so.
func TestHorizonServedByOthers(t *testing.T) {
	f := withHorizon(t)
	f.must(os.Remove(f.path("/usr/sbin/apache2")))
	f.find()
	said, err := f.setUpController()
	if err != nil || len(f.commands) > 0 || !strings.Contains(said, "horizon: restart by hand what serves Horizon") {
		t.Errorf("ran %q, %v\n%s", f.commands, err, said)
	}
}

// fakeDefinitions is Glance's metadata definitions.
type fakeDefinitions struct {
	all  map[string]openstack.Definitions
	full int   // how many it takes
	err  error // of each change
}

func (f *fakeDefinitions) Definitions(_ context.Context, name string) (*openstack.Definitions, error) {
	found, ok := f.all[name]
	if !ok {
		return nil, nil
	}
	return &found, nil
}

func (f *fakeDefinitions) AddDefinitions(_ context.Context, one openstack.Definitions) error {
	if f.err != nil {
		return f.err
	}
	if len(f.all) == f.full {
		return errors.New("no more of them")
	}
	f.all[one.Namespace] = one
	return nil
}

func (f *fakeDefinitions) RemoveDefinitions(_ context.Context, name string) error {
	if f.err == nil {
		delete(f.all, name)
	}
	return f.err
}

func withDefinitions(t *testing.T) (*fakeMachine, *fakeDefinitions) {
	t.Helper()
	f := newFake(t, false)
	f.put("/etc/glance/glance-api.conf", "[image_format]\n", 0o640)
	f.find()
	glance := &fakeDefinitions{all: map[string]openstack.Definitions{"OS::Other": {Namespace: "OS::Other"}}, full: 10}
	f.Glance = func(context.Context) (Definitions, error) { return glance, nil }
	return f, glance
}

func TestMetadataDefinitions(t *testing.T) {
	f, glance := withDefinitions(t)
	before := f.tree()
	glance.all["NDOCK::Flavor"] = openstack.Definitions{Namespace: "NDOCK::Flavor", Description: "of an earlier release"}
	said, err := f.setUpController()
	if err != nil || !strings.Contains(said, "metadata: replace NDOCK::Flavor in") || !strings.Contains(said, "metadata: add NDOCK::Image to") {
		t.Errorf("%v\n%s", err, said)
	}
	if got := glance.all["NDOCK::Flavor"].Properties["ndock:shm_size_mb"]["type"]; got != "integer" {
		t.Errorf("a property's type is %v", got)
	}
	if again, err := f.setUpController(); err != nil || strings.Contains(again, "NDOCK") {
		t.Errorf("the second setup: %v\n%s", err, again)
	}
	if said := f.tearDownController(); !strings.Contains(said, "removed NDOCK::Flavor and NDOCK::Image") || len(glance.all) != 1 || f.tree() != before {
		t.Errorf("left %v, said\n%s\nthe tree is\n%s", glance.all, said, f.tree())
	}
}

func TestMetadataDefinitionsThatDoNotAllFit(t *testing.T) {
	f, glance := withDefinitions(t)
	before := f.tree()
	glance.full = 2
	if _, err := f.setUpController(); err == nil || len(glance.all) != 1 || f.tree() != before {
		t.Errorf("%v, left %v, the tree is\n%s", err, glance.all, f.tree())
	}
}

// With a tenant's credentials setup leaves the definitions out, and records none.
func TestMetadataDefinitionsOfATenant(t *testing.T) {
	f, glance := withDefinitions(t)
	before := f.tree()
	glance.err = &openstack.Error{Status: http.StatusForbidden}
	if said, err := f.setUpController(); err != nil || !strings.Contains(said, "metadata: could not be checked: only an administrator may") || f.tree() != before {
		t.Errorf("%v\n%s\nthe tree is\n%s", err, said, f.tree())
	}
}

// Without credentials setup leaves the definitions out, and teardown says what is left if setup has added any.
func TestMetadataDefinitionsWithoutCredentials(t *testing.T) {
	f, glance := withDefinitions(t)
	before, with := f.tree(), f.Glance
	without := func(context.Context) (Definitions, error) { return nil, &node.Unchecked{Why: "no cloud is named"} }
	f.Glance = without
	if said, err := f.setUpController(); err != nil || !strings.Contains(said, "metadata: could not be checked: no cloud is named") || f.tree() != before {
		t.Errorf("%v\n%s", err, said)
	}
	if said := f.tearDownController(); said != "" {
		t.Errorf("teardown said\n%s", said)
	}
	f.Glance = with
	_, err := f.setUpController()
	f.must(err)
	f.Glance = without
	if said := f.tearDownController(); !strings.Contains(said, "metadata: left metadata definitions in Glance") || len(glance.all) != 3 {
		t.Errorf("left %v, said\n%s", glance.all, said)
	}
	f.Glance = with
	if f.tearDownController(); len(glance.all) != 1 || f.tree() != before {
		t.Errorf("left %v, the tree is\n%s", glance.all, f.tree())
	}
}
