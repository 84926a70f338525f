package steps

import (
	"errors"
	"os"
	"strings"
	"testing"

	"ndock/openstack/node/record"
	"ndock/openstack/novadriver"
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
			f.must(f.config().Do(t.Context()))
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
	before := f.tree()
	f.must(f.config().Do(t.Context()))
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
	f.must(f.config().Do(t.Context()))
	again := strings.Replace(novaComputeConf, "fake.SmallFakeDriver", "libvirt.LibvirtDriver", 1)
	f.put(configFile, again, 0o640)
	f.must(f.config().Do(t.Context()))
	_, err := f.config().Teardown(t.Context())
	f.must(err)
	if got := f.content(configFile); got != again {
		t.Errorf("got\n%s", got)
	}
}
