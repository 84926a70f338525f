package instance_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

func marshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// copied are the files that were written into containers, with mode and owner.
func copied(e *enginetest.Engine) []string {
	var all []string
	for _, call := range e.Called() {
		if file, found := strings.CutPrefix(call, "CopyToContainer "); found {
			all = append(all, file)
		}
	}
	return all
}

func boot(t *testing.T, engine *enginetest.Engine, change func(*agent.Spec)) {
	t.Helper()
	wanted := small()
	change(&wanted)
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted))
	agenttest.WantOK(t, status, body)
}

func TestKeyIsWhatStrictModesWants(t *testing.T) {
	engine := withImage(t)
	boot(t, engine, func(s *agent.Spec) { s.PublicKey = "ssh-ed25519 AAAA me\n" })
	if got := copied(engine); !slices.Equal(got, []string{"/root/.ssh/ 700 0:0", "/root/.ssh/authorized_keys 600 0:0"}) {
		t.Errorf("got %q", got)
	}
	if got := string(engine.Files[instance.AuthorizedKeys]); got != "ssh-ed25519 AAAA me\n" {
		t.Errorf("got %q", got)
	}
}

func TestKeysOfTheImageStay(t *testing.T) {
	engine := withImage(t)
	engine.Files[instance.AuthorizedKeys] = []byte("ssh-rsa BBBB the image's")
	for range 2 {
		boot(t, engine, func(s *agent.Spec) { s.PublicKey = "ssh-ed25519 AAAA me" })
		delete(engine.Containers, naming.Container(enginetest.ServerID))
	}
	if got := string(engine.Files[instance.AuthorizedKeys]); got != "ssh-rsa BBBB the image's\nssh-ed25519 AAAA me\n" {
		t.Errorf("got %q", got)
	}
}

func TestFilesStayInTheContainer(t *testing.T) {
	engine := withImage(t)
	boot(t, engine, func(s *agent.Spec) {
		s.Files = []agent.File{{Path: "/etc/motd", Content: []byte("hello")}, {Path: "../../etc/passwd", Content: nil}}
	})
	if got := copied(engine); !slices.Equal(got, []string{"/etc/motd 644 0:0", "/etc/passwd 644 0:0"}) {
		t.Errorf("got %q", got)
	}
}

func TestPassword(t *testing.T) {
	for name, c := range map[string]struct{ shadow, before, after string }{
		"changed": {"daemon:*:1::::::\nroot:*:19000:0:99999:7:::\n", "daemon:*:1::::::\nroot:$6$", ":19000:0:99999:7:::\n"},
		"new":     {"", "root:$6$", ":::::::\n"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := withImage(t)
			engine.Files["/etc/passwd"] = []byte("root:x:0:0::/root:/bin/sh\n")
			if c.shadow != "" {
				engine.Files["/etc/shadow"] = []byte(c.shadow)
			}
			boot(t, engine, func(s *agent.Spec) { s.Password = "secret" })
			got := string(engine.Files["/etc/shadow"])
			if !strings.HasPrefix(got, c.before) || !strings.HasSuffix(got, c.after) || strings.Contains(got, "secret") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestPasswordWhereNobodyLogsIn(t *testing.T) {
	engine := withImage(t)
	boot(t, engine, func(s *agent.Spec) { s.Password = "secret" })
	if got := copied(engine); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"other"}`)
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	if strings.Contains(body, "other") {
		t.Errorf("the password is in %s", body)
	}
}

func TestHalfInjectedIsNoServer(t *testing.T) {
	engine := withImage(t)
	engine.Fail["CopyToContainer"] = enginetest.ErrAway
	wanted := small()
	wanted.PublicKey = "ssh-ed25519 AAAA me"
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted))
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	wantContainers(t, engine)
}

func TestConfigDrive(t *testing.T) {
	state := t.TempDir()
	dirs := instance.Directories(state)
	mounts, err := dirs.WriteConfigDrive(enginetest.ServerID, map[string][]byte{"openstack/latest/meta_data.json": []byte("{}")})
	if err != nil || len(mounts) != 2 {
		t.Fatalf("got %v, %v", mounts, err)
	}
	for _, m := range mounts {
		if !m.ReadOnly || m.Source != filepath.Join(state, enginetest.ServerID, "config-drive") {
			t.Errorf("got %+v", m)
		}
	}
	content, err := os.ReadFile(filepath.Join(mounts[0].Source, "openstack", "latest", "meta_data.json"))
	if err != nil || string(content) != "{}" {
		t.Errorf("got %q, %v", content, err)
	}
	if _, err := dirs.WriteConfigDrive(enginetest.ServerID, map[string][]byte{"../../out": nil}); err == nil {
		t.Error("a file was written outside of the drive")
	}
	if err := dirs.Remove(enginetest.ServerID); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(state); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestDiagnostics(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Containers[naming.Container(enginetest.ServerID)].State.Health = &container.Health{Status: "unhealthy"}
	engine.Stats = `{"cpu_stats":{"cpu_usage":{"total_usage":7}},"memory_stats":{"usage":5,"limit":64},"pids_stats":{"current":3}}`
	status, body := ask(t, engine, "GET", agenttest.ServerPath+"/diagnostics", "")
	agenttest.WantOK(t, status, body)
	for _, want := range []string{`"state":"running"`, `"health":"unhealthy"`, `"cpu_time":7`, `"memory_used":5`, `"processes":3`, `"nics":[`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}

func TestDiagnosticsOfOneThatEnded(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StateExited)
	engine.Containers[naming.Container(enginetest.ServerID)].State.ExitCode = 137
	engine.Containers[naming.Container(enginetest.ServerID)].State.OOMKilled = true
	status, body := ask(t, engine, "GET", agenttest.ServerPath+"/diagnostics", "")
	agenttest.WantOK(t, status, body)
	if !strings.Contains(body, `"exit_code":137,"oom_killed":true`) || !strings.Contains(body, `"uptime":null`) {
		t.Errorf("got %s", body)
	}
	engine.Containers[naming.Container(enginetest.ServerID)].State.ExitCode = 0
	for _, path := range []string{agenttest.ServerPath + "/diagnostics", agenttest.ServerPath} { // that a child of it was killed is not how it ended
		if _, body := ask(t, engine, "GET", path, ""); !strings.Contains(body, `"exit_code":0,"oom_killed":false`) {
			t.Errorf("%s: got %s", path, body)
		}
	}
}
