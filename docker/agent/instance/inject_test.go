package instance_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

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
