package instance_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
	"ndock/docker/network/networktest"
)

// withAccounts is an engine with a running server in whose files root can have a password.
func withAccounts() *enginetest.Engine {
	engine := enginetest.New()
	engine.PutServer(container.StateRunning)
	engine.Files["/etc/shadow"] = []byte("root:*:19000:0:99999:7:::\n")
	return engine
}

// TestPasswordOfARunningServer: its processes are frozen while Docker opens its files, and not for longer.
func TestPasswordOfARunningServer(t *testing.T) {
	engine := withAccounts()
	status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"secret"}`)
	agenttest.WantOK(t, status, body)
	if got := string(engine.Files["/etc/shadow"]); !strings.HasPrefix(got, "root:$6$") {
		t.Errorf("got %q", got)
	}
	if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StateRunning {
		t.Errorf("the server is %s afterwards", state)
	}
	if left, err := filepath.Glob(filepath.Join(engine.State, enginetest.ServerID, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPasswordOfAPausedServer(t *testing.T) {
	engine := withAccounts()
	engine.PutServer(container.StatePaused)
	status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"secret"}`)
	agenttest.WantOK(t, status, body)
	if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StatePaused {
		t.Errorf("the server is %s afterwards", state)
	}
}

// TestAServerDoesNotStayFrozen, whatever goes wrong meanwhile.
func TestAServerDoesNotStayFrozen(t *testing.T) {
	for _, method := range []string{"ContainerStatPath", "CopyFromContainer", "CopyToContainer"} {
		engine := withAccounts()
		engine.Fail[method] = enginetest.ErrAway
		status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"secret"}`)
		agenttest.WantFault(t, status, body, 500, agent.Failed)
		if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StateRunning {
			t.Errorf("%s fails: the server is %s afterwards", method, state)
		}
	}
}

// TestAServerThatAnAgentLeftFrozen runs again when the next agent starts; one that Nova has paused stays so.
func TestAServerThatAnAgentLeftFrozen(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StatePaused)
	engine.Put(naming.Container(otherID), map[string]string{naming.LabelServer: otherID}, container.StatePaused)
	if err := os.WriteFile(filepath.Join(makeServerDir(t, engine, enginetest.ServerID, 0), instance.PauseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	makeServerDir(t, engine, otherID, 0)
	s := newInstances(engine, instance.Options{State: engine.State})
	s.Pauses.ResumeAll(t.Context())
	s.Pauses.ResumeAll(t.Context()) // there is nothing more to do
	for uuid, want := range map[string]container.ContainerState{enginetest.ServerID: container.StateRunning, otherID: container.StatePaused} {
		if got := engine.Containers[naming.Container(uuid)].State.Status; got != want {
			t.Errorf("server %s is %s, want %s", uuid, got, want)
		}
	}
	if count := strings.Count(strings.Join(engine.Called(), " "), "ContainerUnpause"); count != 1 {
		t.Errorf("asked Docker for %q", engine.Called())
	}
}

// stayedFrozen is an engine with a server that Docker did not let run again after its password was set.
func stayedFrozen(t *testing.T) (e *enginetest.Engine, mark string) {
	t.Helper()
	engine := withAccounts()
	engine.FailOnce["ContainerUnpause"] = enginetest.ErrAway
	status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"secret"}`)
	agenttest.WantFault(t, status, body, 500, agent.Failed)
	if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StatePaused {
		t.Fatalf("the server is %s", state)
	}
	return engine, filepath.Join(engine.State, enginetest.ServerID, instance.PauseFile)
}

// TestAServerThatStayedFrozen runs again within seconds.
func TestAServerThatStayedFrozen(t *testing.T) {
	engine, mark := stayedFrozen(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		engine.FailOnce["ContainerUnpause"] = enginetest.ErrAway
		s := newInstances(engine, instance.Options{State: engine.State})
		go s.Pauses.Run(ctx)
		time.Sleep(2*instance.ResumeEvery + time.Second)
		synctest.Wait()
		if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StateRunning {
			t.Errorf("the server is %s", state)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Error("it is still marked as frozen")
		}
		end()
	})
}

// TestAVerbAfterTheServerStayedFrozen decides what becomes of it: what the agent wanted before counts no more.
func TestAVerbAfterTheServerStayedFrozen(t *testing.T) {
	networktest.Own(t)
	for verb, want := range map[string]container.ContainerState{
		"pause": container.StatePaused, "unpause": container.StateRunning, "start": container.StateRunning,
		"stop?grace=1": container.StateExited, "restart?grace=1": container.StateRunning,
	} {
		engine, mark := stayedFrozen(t)
		status, body := ask(t, engine, "POST", agenttest.ServerPath+"/"+verb, "")
		agenttest.WantOK(t, status, body)
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s: it is still marked as frozen", verb)
		}
		newInstances(engine, instance.Options{State: engine.State}).Pauses.ResumeAll(t.Context())
		if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != want {
			t.Errorf("%s: the server is %s, want %s", verb, state, want)
		}
	}
}

// TestAPauseOutlastsAStaleMark: one that could not be removed, of a server that runs.
func TestAPauseOutlastsAStaleMark(t *testing.T) {
	networktest.Own(t)
	for _, before := range []container.ContainerState{container.StateRunning, container.StateExited} {
		engine := enginetest.New()
		engine.PutServer(before)
		if err := os.WriteFile(filepath.Join(makeServerDir(t, engine, enginetest.ServerID, 0), instance.PauseFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"start", "pause"} {
			status, body := ask(t, engine, "POST", agenttest.ServerPath+"/"+verb, "")
			agenttest.WantOK(t, status, body)
		}
		newInstances(engine, instance.Options{State: engine.State}).Pauses.ResumeAll(t.Context())
		if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StatePaused {
			t.Errorf("first %s: the server is %s", before, state)
		}
	}
}

// TestAServerThatIsBusyKeepsNoOtherFrozen: neither by its lock nor by a Docker that does not answer.
func TestAServerThatIsBusyKeepsNoOtherFrozen(t *testing.T) {
	for name, hold := range map[string]func(e *enginetest.Engine, s *instance.Instances){
		"a verb is at it": func(_ *enginetest.Engine, s *instance.Instances) { s.Power.Lock(context.Background(), otherID) },
		"docker does not answer": func(e *enginetest.Engine, _ *instance.Instances) {
			e.Hang["ContainerInspect "+naming.Container(otherID)] = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := enginetest.New()
				engine.PutServer(container.StatePaused)
				for uuid := range map[string]bool{enginetest.ServerID: true, otherID: true} {
					engine.Put(naming.Container(uuid), map[string]string{naming.LabelServer: uuid}, container.StatePaused)
					if err := os.WriteFile(filepath.Join(makeServerDir(t, engine, uuid, 0), instance.PauseFile), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				ctx, end := context.WithCancel(t.Context())
				s := newInstances(engine, instance.Options{State: engine.State})
				hold(engine, s)
				go s.Pauses.Run(ctx)
				time.Sleep(instance.ResumeLimit + 2*instance.ResumeEvery)
				synctest.Wait()
				if state := engine.Containers[naming.Container(enginetest.ServerID)].State.Status; state != container.StateRunning {
					t.Errorf("the server is %s", state)
				}
				end()
			})
		})
	}
}

// TestWhatIsNoFileIsNotRead: what a tenant or an image puts there in its place is not opened.
func TestWhatIsNoFileIsNotRead(t *testing.T) {
	for says, mode := range map[string]fs.FileMode{
		"a symbolic link": fs.ModeSymlink, "a named pipe": fs.ModeNamedPipe, "a device": fs.ModeDevice,
		"a character device": fs.ModeDevice | fs.ModeCharDevice, "a directory": fs.ModeDir, "a socket": fs.ModeSocket,
	} {
		for _, path := range []string{"/etc/shadow", "/etc/passwd"} {
			engine := withAccounts()
			delete(engine.Files, "/etc/shadow")
			engine.Modes[path] = mode
			status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"secret"}`)
			agenttest.WantFault(t, status, body, 400, agent.BadRequest)
			if want := path + " is " + says; !strings.Contains(body, want) {
				t.Errorf("got %s, want %s", body, want)
			}
			if slices.Contains(engine.Called(), "CopyFromContainer "+path) {
				t.Errorf("%s, %s, was opened", path, says)
			}
		}
	}
}

func TestAFileOfAnySizeIsNotRead(t *testing.T) {
	engine := withAccounts()
	engine.Files["/etc/shadow"] = make([]byte, instance.FileLimit+1)
	status, body := ask(t, engine, "PUT", agenttest.ServerPath+"/password", `{"password":"secret"}`)
	agenttest.WantFault(t, status, body, 400, agent.BadRequest)
	if slices.Contains(engine.Called(), "CopyFromContainer /etc/shadow") {
		t.Errorf("asked Docker for %q", engine.Called())
	}
}

// TestAnImageThatHidesItsFiles boots, without what has no place in it, and its owner is told.
func TestAnImageThatHidesItsFiles(t *testing.T) {
	for name, path := range map[string]string{"the accounts": "/etc/passwd", "the passwords": "/etc/shadow", "root's keys": instance.AuthorizedKeys} {
		t.Run(name, func(t *testing.T) {
			engine := withImage(t)
			engine.Modes[path] = fs.ModeSymlink
			boot(t, engine, func(s *agent.Spec) { s.Password, s.PublicKey = "secret", "ssh-ed25519 AAAA me" })
			status, body := ask(t, engine, "GET", agenttest.ServerPath+"/console", "")
			agenttest.WantOK(t, status, body)
			if want := path + " is a symbolic link"; !strings.Contains(body, "[ndock] ") || !strings.Contains(body, want) {
				t.Errorf("got %q, want %s", body, want)
			}
			delete(engine.Modes, path)
			delete(engine.Containers, naming.Container(enginetest.ServerID))
			boot(t, engine, func(*agent.Spec) {})
			if _, body := ask(t, engine, "GET", agenttest.ServerPath+"/console", ""); strings.Contains(body, "[ndock] ") {
				t.Errorf("made anew it still says %q", body)
			}
		})
	}
}

// TestAPauseOfAVerbUnderWay is not ended by those who look for servers that were left paused.
func TestAPauseOfAVerbUnderWay(t *testing.T) {
	engine := enginetest.New()
	engine.PutServer(container.StatePaused)
	mark := filepath.Join(makeServerDir(t, engine, enginetest.ServerID, 0), instance.PauseFile)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newInstances(engine, instance.Options{State: engine.State})
	release := s.Power.Lock(t.Context(), enginetest.ServerID)
	s.Pauses.ResumeAll(t.Context())
	engine.WantCalls(t)
	if _, err := os.Stat(mark); err != nil {
		t.Error(err)
	}
	release()
	s.Pauses.ResumeAll(t.Context())
	if _, err := os.Stat(mark); err == nil {
		t.Error("it stays paused")
	}
}
