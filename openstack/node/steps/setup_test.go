package steps

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ndock/openstack/node"
	"ndock/openstack/novadriver"
)

// onBoth runs a test with each service manager.
func onBoth(t *testing.T, test func(t *testing.T, f *fakeMachine)) {
	t.Helper()
	for name, systemd := range map[string]bool{"systemd": true, "sysvinit": false} {
		t.Run(name, func(t *testing.T) { test(t, newFake(t, systemd)) })
	}
}

// setup runs a setup as a new process would, and returns what it said.
func (f *fakeMachine) setup() (string, error) {
	f.t.Helper()
	var said lines
	_, err := node.Setup(f.t.Context(), f.Steps(), said.report)
	return said.String(), err
}

// status returns that of one step.
func (f *fakeMachine) status(step string) node.Status {
	f.t.Helper()
	for _, status := range node.Inspect(f.t.Context(), f.Steps()) {
		if status.Step == step {
			return status
		}
	}
	f.t.Fatalf("there is no step %s", step)
	return node.Status{}
}

func (f *fakeMachine) plan() string {
	f.t.Helper()
	var said lines
	changes, err := node.Plan(f.t.Context(), f.Steps(), said.report)
	f.must(err)
	for _, change := range changes {
		said.report("%s: %s", change.Step, change.Text)
	}
	return strings.ReplaceAll(said.String(), f.root, "")
}

func TestSetupFromScratch(t *testing.T) {
	want := map[bool]string{
		false: "update-rc.d ndock-agent defaults, update-rc.d ndock-agent enable, service ndock-agent restart, kill -HUP 8, service docker restart, service nova-compute restart",
		true:  "systemctl daemon-reload, systemctl enable ndock-agent.service, systemctl restart ndock-agent.service, kill -HUP 8, systemctl restart docker.service, systemctl restart --no-block nova-compute.service",
	}
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		f.filter = nil
		said, err := f.setup()
		f.must(err)
		if got := strings.Join(f.commands, ", "); got != want[f.systemd] {
			t.Errorf("ran %s; want %s", got, want[f.systemd])
		}
		if !strings.HasPrefix(said, "engine: Docker Engine 20.10.24 answers; servers are confined by AppArmor and one range of users for all of them (userns-remap)\nagent: write ") {
			t.Errorf("said\n%s", said)
		}
		for _, status := range node.Inspect(t.Context(), f.Steps()) {
			if status.State != node.Done {
				t.Errorf("%s: %s, %s", status.Step, status.State, status.Detail)
			}
		}
		config, err := os.ReadFile(f.path("/etc/nova/nova-compute.conf"))
		f.must(err)
		if want := strings.Replace(novaComputeConf, "fake.SmallFakeDriver", novadriver.Driver, 1); string(config) != want {
			t.Errorf("nova-compute.conf is\n%s", config)
		}
	})
}

func TestDryRunChangesNothing(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	want := `orphans: could not be checked: ndock-agent does not answer
engine: start Docker Engine (service docker)
agent: write /usr/local/bin/ndock
agent: write /usr/libexec/ndock/ndock-runtime
agent: write /etc/init.d/ndock-agent
agent: write /etc/logrotate.d/ndock-agent
agent: write /etc/ndock/agent.yaml
agent: have service ndock-agent started at boot
agent: start service ndock-agent
completions: write /usr/local/share/man/man1/ndock.1
completions: write /usr/local/share/bash-completion/completions/ndock
daemon.json: set live-restore = true in /etc/docker/daemon.json
daemon.json: add runtime ndock to /etc/docker/daemon.json
daemon.json: have Docker Engine make no bridge and no firewall rules, in /etc/docker/daemon.json
daemon.json: have what containers say kept to 30 MB each, in /etc/docker/daemon.json
shim: write FILES to /usr/lib/python3/dist-packages/nova/virt/docker
config: set compute_driver = docker.DockerDriver in /etc/nova/nova-compute.conf, in place of fake.SmallFakeDriver
nova-compute: restart service nova-compute
hypervisor: wait until Nova lists node-1 as a hypervisor of type docker that is up`
	f.stop("docker")
	var names []string
	files, err := novadriver.Files()
	f.must(err)
	for _, file := range files {
		names = append(names, file.Name)
	}
	if got := f.plan(); got != strings.Replace(want, "FILES", strings.Join(names, ", "), 1) {
		t.Errorf("planned\n%s", got)
	}
	if after := f.tree(); after != before || len(f.commands) > 0 {
		t.Errorf("ran %q; the tree was\n%s\nand is\n%s", f.commands, before, after)
	}
}

func TestTheSecondSetupHasNothingToDo(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		_, err := f.setup()
		f.must(err)
		before := f.tree()
		f.commands = nil
		if plan := f.plan(); plan != "" {
			t.Errorf("planned\n%s", plan)
		}
		changed, err := node.Setup(t.Context(), f.Steps(), new(lines).report)
		if changed || err != nil || len(f.commands) > 0 || f.tree() != before {
			t.Errorf("got %v, %v; ran %q", changed, err, f.commands)
		}
	})
}

func TestTeardownPutsBackWhatWasThere(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		before := f.tree()
		_, err := f.setup()
		f.must(err)
		f.commands = nil
		var said lines
		changed, err := node.Teardown(t.Context(), f.Steps(), said.report)
		if !changed || err != nil {
			t.Fatalf("got %v, %v", changed, err)
		}
		if after := f.tree(); after != before {
			t.Errorf("the tree was\n%s\nand is\n%s", before, after)
		}
		if f.pid(agentName) != 0 || f.pid("nova-compute") < 1000 {
			t.Errorf("the agent runs as %d, nova-compute as %d; ran %q", f.pid(agentName), f.pid("nova-compute"), f.commands)
		}
		f.checkOrder()
		f.commands = nil
		if changed, err := node.Teardown(t.Context(), f.Steps(), said.report); changed || err != nil {
			t.Errorf("again: got %v, %v, ran %q", changed, err, f.commands)
		}
	})
}

func TestAnEngineIsInstalledOnlyWhereThereIsNone(t *testing.T) {
	f := newFake(t, false)
	f.stop("docker")
	f.must(os.Remove(f.path("/usr/sbin/dockerd")))
	_, err := f.setup()
	f.must(err)
	if got := strings.Join(f.commands[:2], ", "); got != strings.Join(f.Layout.Engine.Install, " ")+", service docker start" {
		t.Errorf("ran %s", got)
	}
}

func TestAnUpgradeReplacesAgentAndShim(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.must(os.WriteFile(f.Program, []byte("ndock of tomorrow"), 0o700))
	dir := "/usr/lib/python3/dist-packages/nova/virt/docker"
	f.put(dir+"/driver.py", "old", 0o644)
	f.put(dir+"/dropped.py", "old", 0o644)
	f.put(dir+"/__pycache__/driver.cpython-311.pyc", "old", 0o644)
	want := `agent: write /usr/local/bin/ndock
agent: restart service ndock-agent
shim: write driver.py to ` + dir + `
shim: remove ` + dir + `/dropped.py
nova-compute: restart service nova-compute`
	if got := f.plan(); got != want {
		t.Errorf("planned\n%s\nwant\n%s", got, want)
	}
	_, err = f.setup()
	f.must(err)
	if plan := f.plan(); plan != "" {
		t.Errorf("still planned\n%s", plan)
	}
	for _, gone := range []string{"/dropped.py", "/__pycache__"} {
		if _, err := os.Stat(f.path(dir + gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
}

func TestServicesOlderThanTheirFilesAreRestarted(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	later := time.Now().Add(time.Hour)
	f.must(os.Chtimes(f.path("/usr/local/bin/ndock"), later, later))
	f.must(os.Chtimes(f.path("/etc/nova/nova-compute.conf"), later, later))
	if got, want := f.plan(), "agent: restart service ndock-agent\nnova-compute: restart service nova-compute"; got != want {
		t.Errorf("planned\n%s\nwant\n%s", got, want)
	}
}

func TestWithoutCredentialsTheHypervisorIsLeftUnchecked(t *testing.T) {
	f := newFake(t, false)
	f.Nova = func(context.Context) (Cloud, error) { return nil, &node.Unchecked{Why: "no cloud is named"} }
	said, err := f.setup()
	f.must(err)
	if want := "hypervisor: could not be checked: no cloud is named"; !strings.Contains(said, want) {
		t.Errorf("said\n%s", said)
	}
	if got := f.status("hypervisor"); got.State != node.Unknown {
		t.Errorf("got %v", got)
	}
}

// TestStatusWithoutAnEngine claims nothing that only Docker Engine, or Nova, can tell.
func TestStatusWithoutAnEngine(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.stop("docker")
	for _, status := range node.Inspect(t.Context(), f.Steps()) {
		if status.State == node.Done && strings.Contains(status.Detail+" ", "Docker Engine ") {
			t.Errorf("%s is done: %s", status.Step, status.Detail)
		}
	}
	for _, step := range []string{"servers", "firewall"} {
		if got := f.status(step); got.State != node.Unknown || !strings.Contains(got.Detail, "could not be checked: ") || !strings.Contains(got.Detail, "docker does not answer") {
			t.Errorf("got %+v", got)
		}
	}
}

// TestHypervisorIsGone: what happened to it since the plan was made is said as it is.
func TestHypervisorIsGone(t *testing.T) {
	f := newFake(t, false)
	f.unmapped = true
	step := &hypervisor{Machine: f.Machine}
	if text, err := step.Detail(t.Context()); text != "" || err == nil || !strings.Contains(err.Error(), "is no hypervisor that Nova lists") {
		t.Errorf("got %q, %v", text, err)
	}
	step.nova, f.Nova = nil, func(context.Context) (Cloud, error) { return nil, errors.New("log in: away") }
	step.Machine = f.Machine
	if text, err := step.Detail(t.Context()); text != "" || err == nil || err.Error() != "log in: away" {
		t.Errorf("got %q, %v", text, err)
	}
}
