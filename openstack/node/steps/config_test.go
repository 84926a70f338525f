package steps

import (
	"errors"
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/layout/layouttest"
	"ndock/openstack/node/record"
	"ndock/openstack/novadriver"
	"ndock/openstack/oslo"
)

const configFile = "/etc/nova/nova-compute.conf"

func (f *fakeMachine) config() *config { return &config{Machine: f.Machine} }

// content returns what a file of the machine has.
func (f *fakeMachine) content(path string) string {
	f.t.Helper()
	content, err := os.ReadFile(f.path(path))
	f.must(err)
	return string(content)
}

// do runs the step alone.
func (f *fakeMachine) do() error { return f.config().Do(f.t.Context()) }

// rdo returns a machine with RDO's packages, whose unit names no files.
func rdo(t *testing.T) *fakeMachine {
	t.Helper()
	f := fakeOf(t, true, layouttest.RDO)
	f.virt = "/usr/lib/python3.9/site-packages/nova/virt"
	return f
}

const rdoUnit = "/usr/lib/systemd/system/openstack-nova-compute.service"

func TestConfigKeepsWhatTheOperatorHasEdited(t *testing.T) {
	mine := "compute_driver=" + novadriver.Driver
	tests := []struct{ name, before, edit, with, after string }{
		{"another line", novaComputeConf, "br-int", "br-ex", strings.Replace(novaComputeConf, "br-int", "br-ex", 1)},
		{"the driver itself", novaComputeConf, mine, "compute_driver=libvirt.LibvirtDriver", strings.Replace(novaComputeConf, "fake.SmallFakeDriver", "libvirt.LibvirtDriver", 1)},
		{"where no driver was set", "[DEFAULT]\nhost = a\n", "host = a", "host = b", "[DEFAULT]\nhost = b\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, false)
			f.put(configFile, test.before, 0o640)
			f.must(f.do())
			f.put(configFile, strings.Replace(f.content(configFile), test.edit, test.with, 1), 0o640)
			texts, err := f.config().Teardown(t.Context())
			f.must(err)
			if got := f.content(configFile); got != test.after || len(texts) != 1 {
				t.Errorf("got\n%s\nand %q", got, texts)
			}
			if _, err := os.Stat(f.path(record.File)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the record: %v", err)
			}
		})
	}
}

func TestConfigIsMadeWhereThereIsNone(t *testing.T) {
	f := newFake(t, false)
	f.must(os.Remove(f.path(configFile)))
	f.put("/etc/nova/nova.conf", "[DEFAULT]\ncompute_driver = libvirt.LibvirtDriver\n", 0o640)
	before := f.tree()
	if plan, err := f.config().Plan(t.Context()); err != nil || len(plan) != 1 || !strings.HasPrefix(plan[0], "make "+f.path(configFile)) {
		t.Errorf("planned %q, %v", plan, err)
	}
	f.must(f.do())
	if plan, err := f.config().Plan(t.Context()); err != nil || len(plan) > 0 {
		t.Errorf("planned %q, %v", plan, err)
	}
	_, err := f.config().Teardown(t.Context())
	f.must(err)
	if f.tree() != before {
		t.Error("the file is still there")
	}
}

func TestConfigThatWasSetByHandIsUnsetByTeardown(t *testing.T) {
	f := newFake(t, false)
	f.put(configFile, "[DEFAULT]\nhost = a\ncompute_driver = docker.DockerDriver\n", 0o640)
	_, err := f.config().Teardown(t.Context())
	f.must(err)
	if got := f.content(configFile); got != "[DEFAULT]\nhost = a\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestConfigSavesAnewWhenItIsSetAnew(t *testing.T) {
	f := newFake(t, false)
	f.must(f.do())
	again := strings.Replace(novaComputeConf, "fake.SmallFakeDriver", "libvirt.LibvirtDriver", 1)
	f.put(configFile, again, 0o640)
	f.must(f.do())
	_, err := f.config().Teardown(t.Context())
	f.must(err)
	if got := f.content(configFile); got != again {
		t.Errorf("got\n%s", got)
	}
}

// Where drop-ins win, the driver is in a file of root's own, and Nova's files stay as they are.
func TestTheDropIn(t *testing.T) {
	f := rdo(t)
	before := f.tree()
	f.must(f.do())
	info, err := os.Stat(f.path(layout.DropIn))
	f.must(err)
	if got := f.content(layout.DropIn); got != created || info.Mode() != 0o644 || f.content("/etc/nova/nova.conf") != layouttest.RDO["/etc/nova/nova.conf"] {
		t.Errorf("it is %s, %q", info.Mode(), got)
	}
	if plan, err := f.config().Plan(t.Context()); err != nil || len(plan) > 0 {
		t.Errorf("planned %q, %v", plan, err)
	}
	if got, _ := f.config().Detail(t.Context()); !strings.Contains(got, layout.DropIn+"; nova has no user of its own") {
		t.Errorf("it says %s", got)
	}
	f.put("/etc/nova/nova-compute.conf.d/local.conf", "[DEFAULT]\n", 0o644)
	texts, err := f.config().Teardown(t.Context())
	f.must(err)
	if len(texts) != 1 || f.exists(layout.DropIn) || !f.exists("/etc/nova/nova-compute.conf.d/local.conf") {
		t.Errorf("said %q", texts)
	}
	f.must(f.do())
	f.must(os.Remove(f.path("/etc/nova/nova-compute.conf.d/local.conf")))
	_, err = f.config().Teardown(t.Context())
	f.must(err)
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// Teardown keeps what an operator has added to it.
func TestADropInThatWasEdited(t *testing.T) {
	f := rdo(t)
	f.must(f.do())
	f.put(layout.DropIn, created+"debug = true\n", 0o644)
	_, err := f.config().Teardown(t.Context())
	f.must(err)
	if got := f.content(layout.DropIn); got != strings.Replace(created, "compute_driver = docker.DockerDriver\n", "debug = true\n", 1) {
		t.Errorf("it is %q", got)
	}
}

// setByAnEarlierRelease edits Nova's file in place, and records it, on a machine whose drop-ins win.
func setByAnEarlierRelease(t *testing.T) (f *fakeMachine, before string) {
	t.Helper()
	f = rdo(t)
	before = f.tree()
	c := f.config()
	c.file = f.Layout.Config
	edits, err := c.editsOf(c.file)
	f.must(err)
	f.must(c.apply(edits[0]))
	return f, before
}

func TestTeardownOfWhatAnEarlierReleaseSet(t *testing.T) {
	f, before := setByAnEarlierRelease(t)
	texts, err := f.config().Teardown(t.Context())
	f.must(err)
	if after := f.tree(); after != before || len(texts) != 1 {
		t.Errorf("said %q; the tree was\n%s\nand is\n%s", texts, before, after)
	}
}

// An upgrade gives Nova's file back, with what was edited since, and writes the drop-in.
func TestAnUpgradeMovesTheDriver(t *testing.T) {
	for name, edited := range map[string]string{"as it was": "", "edited since": "debug = true\n"} {
		t.Run(name, func(t *testing.T) {
			f, before := setByAnEarlierRelease(t)
			f.put("/etc/nova/nova.conf", f.content("/etc/nova/nova.conf")+edited, 0o640)
			plan, err := f.config().Plan(t.Context())
			if err != nil || len(plan) != 2 || !strings.HasSuffix(plan[1], "where an earlier release has set it") {
				t.Errorf("planned %q, %v", plan, err)
			}
			set := f.tree()
			c := f.config()
			f.must(c.Do(t.Context()))
			_, err = c.Rollback(t.Context())
			f.must(err)
			if after := f.tree(); after != set {
				t.Errorf("after a rollback the tree was\n%s\nand is\n%s", set, after)
			}
			f.must(f.do())
			if got := f.content("/etc/nova/nova.conf"); got != layouttest.RDO["/etc/nova/nova.conf"]+edited || f.content(layout.DropIn) != created {
				t.Errorf("nova.conf is\n%s", got)
			}
			if plan, err := f.config().Plan(t.Context()); err != nil || len(plan) > 0 {
				t.Errorf("planned %q, %v", plan, err)
			}
			if r, err := f.record().Read(); err != nil || len(r.Files) > 0 {
				t.Errorf("still kept: %v, %v", r.Files, err)
			}
			texts, err := f.config().Teardown(t.Context())
			f.must(err)
			if len(texts) != 1 || texts[0] != "removed "+f.path(layout.DropIn) {
				t.Errorf("teardown said %q", texts)
			}
			f.put("/etc/nova/nova.conf", layouttest.RDO["/etc/nova/nova.conf"], 0o640)
			if after := f.tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// A service that the operator has told its files reads those last, and is edited as Debian's.
func TestAUnitThatNamesItsFiles(t *testing.T) {
	f := rdo(t)
	f.put(rdoUnit, "[Service]\nUser=nova\nExecStart=/usr/bin/nova-compute --config-file /etc/nova/nova.conf\n", 0o644)
	f.put("/etc/nova/nova.conf.d/a.conf", "[DEFAULT]\ncompute_driver = fake.FakeDriver\n", 0o644)
	f.must(f.do())
	if !strings.Contains(f.content("/etc/nova/nova.conf"), "compute_driver=docker.DockerDriver\n") || f.exists(layout.DropIn) {
		t.Errorf("nova.conf is\n%s", f.content("/etc/nova/nova.conf"))
	}
	_, err := f.config().Teardown(t.Context())
	f.must(err)
	f.put("/etc/nova/other.conf", "[DEFAULT]\ncompute_driver = b\n", 0o644)
	f.put(rdoUnit, "[Service]\nExecStart=/usr/bin/nova-compute --config-file /etc/nova/nova.conf --config-file=/etc/nova/other.conf\n", 0o644)
	if _, err := f.config().Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "/etc/nova/other.conf sets compute_driver = b, and Nova reads it after ") {
		t.Errorf("got %v", err)
	}
	f.put(rdoUnit, "[Service]\nExecStart=/usr/bin/nova-compute --config-file /etc/nova/other.conf\n", 0o644)
	if _, err := f.config().Plan(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "/etc/nova/nova.conf, but /etc/nova/nova.conf.d/a.conf, /etc/nova/other.conf") {
		t.Errorf("got %v", err)
	}
}

// The words are asked of who starts nova-compute; where none of them is nova-compute, setup does not guess.
func TestHowNovaComputeIsStarted(t *testing.T) {
	f := rdo(t)
	f.put(rdoUnit, "[Service]\nExecStart=/usr/local/bin/wrapped\n", 0o644)
	if _, err := f.config().Plan(t.Context()); err == nil || !strings.Contains(err.Error(), `service openstack-nova-compute runs "/usr/local/bin/wrapped"`) || hintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	f.Layout.Arguments = []string{"--config-file=/etc/nova/nova.conf"} // as the operator says
	if plan, err := f.config().Plan(t.Context()); err != nil || len(plan) != 1 || !strings.Contains(plan[0], "in "+f.path("/etc/nova/nova.conf")) {
		t.Errorf("planned %q, %v", plan, err)
	}
	f = newFake(t, false)
	f.must(os.Remove(f.path("/etc/init.d/nova-compute")))
	if _, err := f.config().Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "/etc/init.d/nova-compute is not there") {
		t.Errorf("got %v", err)
	}
}

// What setup has written and Nova does not take is rolled back.
func TestADriverThatNovaDoesNotTake(t *testing.T) {
	f := rdo(t)
	before := f.tree()
	f.novaSays = func() (string, error) {
		return `{"value": "a", "file": "/var/lib/nova/.nova/nova-compute.conf.d/a.conf", "files": ["/var/lib/nova/.nova/nova-compute.conf.d/a.conf"], "drop_ins_win": true}`, nil
	}
	_, err := f.setup()
	if err == nil || !strings.Contains(err.Error(), "config: "+f.path("/var/lib/nova/.nova/nova-compute.conf.d/a.conf")+" sets compute_driver = a, and Nova reads it after ") {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// What needs Nova's own user is said where there is none, wherever it is looked for.
func TestTheServiceUser(t *testing.T) {
	for _, other := range []bool{false, true} {
		for text, has := range map[string]bool{
			"[service_user]\nauth_type = password\n":           true,
			"[service_user]\nauth_section = placement\n":       true,
			"[service_user]\nsend_service_user_token = true\n": false,
			"[placement]\nauth_type = password\n":              false,
		} {
			f := newFake(t, false)
			f.OtherMachines = other
			f.put(configFile, "[DEFAULT]\ncompute_driver = "+novadriver.Driver+"\n"+text, 0o644)
			got, _ := f.config().Detail(t.Context())
			if strings.Contains(got, "[service_user], and cannot boot images in layers") == has || !strings.HasPrefix(got, "compute_driver = ") {
				t.Errorf("%q, of another machine %t: it says %s", text, other, got)
			}
		}
	}
	f := newFake(t, false)
	f.must(f.do())
	f.novaSays = func() (string, error) { return "", errors.New("no Python") }
	c := f.config()
	c.taken = &oslo.Setting{Value: novadriver.Driver, File: configFile}
	if got, _ := c.Detail(t.Context()); !strings.Contains(got, "ask Nova's oslo.config for auth_type: no Python") {
		t.Errorf("it says %s", got)
	}
}

// A tree that is another machine's, and Kolla's container, are not asked.
func TestWhereNovaIsNotAsked(t *testing.T) {
	never := func() (string, error) { return "", errors.New("asked") }
	for name, test := range map[string]struct {
		tree  map[string]string
		other bool
		file  string
	}{
		"Debian": {layouttest.Debian, true, configFile},
		"RDO":    {layouttest.RDO, true, layout.DropIn},
		"Kolla":  {layouttest.Kolla, false, "/etc/kolla/nova-compute/nova.conf"},
	} {
		f := fakeOf(t, true, test.tree)
		f.OtherMachines, f.novaSays = test.other, never
		if edits, err := node.Edits(t.Context(), []node.Step{f.config()}); err != nil || len(edits) != 1 || edits[0].Path != f.path(test.file) {
			t.Errorf("%s: got %v, %v", name, edits, err)
		}
	}
}

// An upgrade that is killed knows the driver of before until the file has it again.
func TestAnUpgradeForgetsAFileOnceItIsPutBack(t *testing.T) {
	f, _ := setByAnEarlierRelease(t)
	c := f.config()
	_, file, err := c.setting(t.Context())
	f.must(err)
	edits, err := c.Edits(t.Context())
	f.must(err)
	c.file = file
	f.must(os.Rename(f.path("/etc/nova/nova.conf"), f.path("/etc/nova/moved")))
	if err := c.apply(edits[1]); err == nil {
		t.Error("a file was edited that is not there")
	}
	if r, err := f.record().Read(); err != nil || len(r.Files) != 1 {
		t.Errorf("kept: %v, %v", r.Files, err)
	}
}
