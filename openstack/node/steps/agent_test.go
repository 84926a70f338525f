package steps

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ndock/openstack/node"
	"ndock/openstack/node/system"
)

// TestInitScript runs the script with a program that only waits: start, status, restart after the program was replaced, stop.
func TestInitScript(t *testing.T) {
	if _, err := (system.Shell{}).Run(t.Context(), "start-stop-daemon", "--version"); err != nil {
		t.Skip(err)
	}
	if _, err := os.Stat("/lib/lsb/init-functions"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	program, pidFile, log := filepath.Join(dir, "ndock"), filepath.Join(dir, "agent.pid"), filepath.Join(dir, "agent.log")
	wait := []byte("#!/bin/sh\necho \"$@\"\nwhile :; do sleep 0.1; done\n")
	check(t, os.WriteFile(program, wait, 0o755))
	script := strings.NewReplacer("/usr/local/bin/ndock", program, "/run/ndock/agent.pid", pidFile, "/var/log/ndock/agent.log", log,
		"install -d -m 0755 /run/ndock /var/log/ndock", ":").Replace(string(agentScript))
	path := filepath.Join(dir, "script")
	check(t, os.WriteFile(path, []byte(script), 0o755))
	run := func(verb string, ok bool) {
		t.Helper()
		out, err := exec.Command("/bin/sh", path, verb).CombinedOutput()
		if (err == nil) != ok {
			t.Fatalf("%s: %v\n%s", verb, err, out)
		}
	}
	pid := func() string {
		content, _ := os.ReadFile(pidFile)
		return string(content)
	}
	run("status", false)
	run("start", true)
	t.Cleanup(func() { run("stop", true) })
	first := pid()
	run("start", true)
	run("status", true)
	if pid() != first {
		t.Error("it was started twice")
	}
	check(t, os.Rename(program, program+".old"), os.WriteFile(program, wait, 0o755))
	run("restart", true)
	if second := pid(); second == first || second == "" {
		t.Errorf("process %q became %q", first, second)
	}
	waitFor(t, func() bool {
		content, _ := os.ReadFile(log)
		return strings.Count(string(content), "node agent\n") == 2
	})
	run("stop", true)
	run("status", false)
	run("nonsense", false)
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("waited in vain")
}

// The agent needs the mounts of the host. In mounts of its own, it could not unmount what is mounted in /run/ndock on the host
// (seen with systemd 252).
func TestTheUnitLeavesTheAgentTheHostsMounts(t *testing.T) {
	of := regexp.MustCompile(`(?m)^(Protect(System|Home|Proc|KernelTunables|KernelModules|KernelLogs|ControlGroups)|Private(Tmp|Devices|Mounts|IPC)|` +
		`RuntimeDirectory|TemporaryFileSystem|MountFlags|ProcSubset|Root\w+|\w+Paths)=.*`)
	if found := of.FindAllString(string(agentUnit), -1); found != nil {
		t.Errorf("mounts of its own: %q", found)
	}
}

// nova-compute can reach the agent's socket, also where the start of a container made the directory, for root only.
func TestTheAgentsDirectory(t *testing.T) {
	for name, text := range map[string]string{"unit": string(agentUnit), "script": string(agentScript)} {
		if !strings.Contains(text, "install -d -m 0755 /run/ndock") {
			t.Errorf("the %s does not make /run/ndock", name)
		}
	}
}

// TestUnit checks the unit by systemd's own tool, where there is one.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there")
	}
	dir := t.TempDir()
	unit := filepath.Join(dir, agentName+".service")
	check(t, os.WriteFile(unit, []byte(strings.Replace(string(agentUnit), "/usr/local/bin/ndock", "/bin/true", 1)), 0o644))
	out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), agentName+".service") {
		t.Errorf("%v\n%s", err, out)
	}
	// How much a service may do, by systemd's own measure: 100 is all, 50 what is left where root edits the network in
	// the host's mounts.
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=50", unit).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A registry on a compute node keeps its program.
func TestTeardownLeavesTheProgramOfAnotherService(t *testing.T) {
	f := newFake(t, true)
	_, err := f.setup()
	f.must(err)
	unit := "/etc/systemd/system/ndock-registry.service"
	f.put(unit, "[Service]\nExecStart=\""+f.Layout.AgentFile+"\" registry serve\n", 0o644)
	if said := f.teardown(); !strings.Contains(said, "left "+f.Layout.AgentFile+", which ndock-registry.service runs") {
		t.Errorf("said\n%s", said)
	}
	if _, err := os.Stat(f.path(f.Layout.AgentFile)); err != nil {
		t.Error(err)
	}
	f.must(os.Remove(f.path(unit)))
	f.teardown()
	if _, err := os.Stat(f.path(f.Layout.AgentFile)); err == nil {
		t.Error("it is left although nothing runs it")
	}
}

const rulesFile = "/etc/ndock/agent.yaml"

func TestTheOperatorsFileIsWrittenOnce(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	if got, err := os.ReadFile(f.path(rulesFile)); err != nil || string(got) != string(f.AgentConfig) {
		t.Fatalf("got %q, %v", got, err)
	}
	f.put(rulesFile, "no_new_privileges: false\n", 0o600)
	f.AgentConfig = []byte("# the rules of a newer release\n")
	_, err = f.setup()
	f.must(err)
	if got, err := os.ReadFile(f.path(rulesFile)); err != nil || string(got) != "no_new_privileges: false\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAChangeOfTheOperatorsRestartsTheAgent(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	later := time.Now().Add(time.Hour)
	f.must(os.Chtimes(f.path(rulesFile), later, later))
	if got := f.plan(); got != "agent: restart service ndock-agent" {
		t.Errorf("planned\n%s", got)
	}
}

func TestTeardownLeavesWhatTheOperatorWrote(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.put(rulesFile, "pids_limit: 100\n", 0o644)
	var said lines
	_, err = node.Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if want := "agent: left " + f.path(rulesFile) + ", which was edited"; !strings.Contains(said.String(), want) {
		t.Errorf("said\n%s", said.String())
	}
	if got, err := os.ReadFile(f.path(rulesFile)); err != nil || string(got) != "pids_limit: 100\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if changed, err := node.Teardown(t.Context(), f.Steps(), said.report); changed || err != nil {
		t.Errorf("again: got %v, %v", changed, err)
	}
}

// TestTeardownRemovesWhatAnotherReleaseWrote into the operator's file, where the operator has not.
func TestTeardownRemovesWhatAnotherReleaseWrote(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.AgentConfig = append([]byte("# of a later release\n"), f.AgentConfig...)
	_, err = f.setup()
	f.must(err)
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	if _, err := os.Stat(f.path(rulesFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}

func TestStatusTellsOfRootDisks(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	if got := f.status("agent"); got.Detail != "ndock's agent 1.0 answers; root disks are limited by btrfs" {
		t.Errorf("got %v", got)
	}
}
