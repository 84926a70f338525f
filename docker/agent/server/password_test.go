package server

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
)

// withAccounts is an engine with a running server in whose files root can have a password.
func withAccounts() *engine {
	engine := newEngine()
	engine.putServer(container.StateRunning)
	engine.files["/etc/shadow"] = []byte("root:*:19000:0:99999:7:::\n")
	return engine
}

// TestPasswordOfARunningServer: its processes are frozen while Docker opens its files, and not for longer.
func TestPasswordOfARunningServer(t *testing.T) {
	engine := withAccounts()
	status, body := ask(t, engine, "PUT", serverPath+"/password", `{"password":"secret"}`)
	wantOK(t, status, body)
	if got := string(engine.files["/etc/shadow"]); !strings.HasPrefix(got, "root:$6$") {
		t.Errorf("got %q", got)
	}
	if state := engine.containers[namePrefix+serverID].State.Status; state != container.StateRunning {
		t.Errorf("the server is %s afterwards", state)
	}
	if left, err := filepath.Glob(filepath.Join(engine.state, serverID, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPasswordOfAPausedServer(t *testing.T) {
	engine := withAccounts()
	engine.putServer(container.StatePaused)
	status, body := ask(t, engine, "PUT", serverPath+"/password", `{"password":"secret"}`)
	wantOK(t, status, body)
	if state := engine.containers[namePrefix+serverID].State.Status; state != container.StatePaused {
		t.Errorf("the server is %s afterwards", state)
	}
}

// TestAServerDoesNotStayFrozen, whatever goes wrong meanwhile.
func TestAServerDoesNotStayFrozen(t *testing.T) {
	for _, method := range []string{"ContainerStatPath", "CopyFromContainer", "CopyToContainer"} {
		engine := withAccounts()
		engine.fail[method] = errAway
		status, body := ask(t, engine, "PUT", serverPath+"/password", `{"password":"secret"}`)
		wantFault(t, status, body, 500, agent.Failed)
		if state := engine.containers[namePrefix+serverID].State.Status; state != container.StateRunning {
			t.Errorf("%s fails: the server is %s afterwards", method, state)
		}
	}
}

// TestAServerThatAnAgentLeftFrozen runs again when the next agent starts; one that Nova has paused stays so.
func TestAServerThatAnAgentLeftFrozen(t *testing.T) {
	engine := newEngine()
	engine.putServer(container.StatePaused)
	engine.put(namePrefix+otherID, map[string]string{labelServer: otherID}, container.StatePaused)
	if err := os.WriteFile(filepath.Join(makeServerDir(t, engine, serverID, 0), frozenFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	makeServerDir(t, engine, otherID, 0)
	s := New(t.Context(), engine, Options{State: engine.state}, quiet())
	s.thawLeftovers(t.Context())
	s.thawLeftovers(t.Context()) // there is nothing more to do
	for uuid, want := range map[string]container.ContainerState{serverID: container.StateRunning, otherID: container.StatePaused} {
		if got := engine.containers[namePrefix+uuid].State.Status; got != want {
			t.Errorf("server %s is %s, want %s", uuid, got, want)
		}
	}
	if count := strings.Count(strings.Join(engine.called(), " "), "ContainerUnpause"); count != 1 {
		t.Errorf("asked Docker for %q", engine.called())
	}
}

// stayedFrozen is an engine with a server that Docker did not let run again after its password was set.
func stayedFrozen(t *testing.T) (e *engine, mark string) {
	t.Helper()
	engine := withAccounts()
	engine.failOnce["ContainerUnpause"] = errAway
	status, body := ask(t, engine, "PUT", serverPath+"/password", `{"password":"secret"}`)
	wantFault(t, status, body, 500, agent.Failed)
	if state := engine.containers[namePrefix+serverID].State.Status; state != container.StatePaused {
		t.Fatalf("the server is %s", state)
	}
	return engine, filepath.Join(engine.state, serverID, frozenFile)
}

// TestAServerThatStayedFrozen runs again within seconds.
func TestAServerThatStayedFrozen(t *testing.T) {
	engine, mark := stayedFrozen(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		engine.failOnce["ContainerUnpause"] = errAway
		s := New(ctx, engine, Options{State: engine.state}, quiet())
		go s.keepThawed(ctx)
		time.Sleep(2*thawEvery + time.Second)
		synctest.Wait()
		if state := engine.containers[namePrefix+serverID].State.Status; state != container.StateRunning {
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
	ownNetwork(t)
	for verb, want := range map[string]container.ContainerState{
		"pause": container.StatePaused, "unpause": container.StateRunning, "start": container.StateRunning,
		"stop?grace=1": container.StateExited, "restart?grace=1": container.StateRunning,
	} {
		engine, mark := stayedFrozen(t)
		status, body := ask(t, engine, "POST", serverPath+"/"+verb, "")
		wantOK(t, status, body)
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s: it is still marked as frozen", verb)
		}
		New(t.Context(), engine, Options{State: engine.state}, quiet()).thawLeftovers(t.Context())
		if state := engine.containers[namePrefix+serverID].State.Status; state != want {
			t.Errorf("%s: the server is %s, want %s", verb, state, want)
		}
	}
}

// TestAPauseOutlastsAStaleMark: one that could not be removed, of a server that runs.
func TestAPauseOutlastsAStaleMark(t *testing.T) {
	ownNetwork(t)
	for _, before := range []container.ContainerState{container.StateRunning, container.StateExited} {
		engine := newEngine()
		engine.putServer(before)
		if err := os.WriteFile(filepath.Join(makeServerDir(t, engine, serverID, 0), frozenFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"start", "pause"} {
			status, body := ask(t, engine, "POST", serverPath+"/"+verb, "")
			wantOK(t, status, body)
		}
		New(t.Context(), engine, Options{State: engine.state}, quiet()).thawLeftovers(t.Context())
		if state := engine.containers[namePrefix+serverID].State.Status; state != container.StatePaused {
			t.Errorf("first %s: the server is %s", before, state)
		}
	}
}

// TestAServerThatIsBusyKeepsNoOtherFrozen: neither by its lock nor by a Docker that does not answer.
func TestAServerThatIsBusyKeepsNoOtherFrozen(t *testing.T) {
	for name, hold := range map[string]func(e *engine, s *Server){
		"a verb is at it":        func(_ *engine, s *Server) { _, _ = s.servers.acquire(context.Background(), otherID) },
		"docker does not answer": func(e *engine, _ *Server) { e.hang["ContainerInspect "+namePrefix+otherID] = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := newEngine()
				engine.putServer(container.StatePaused)
				for uuid := range map[string]bool{serverID: true, otherID: true} {
					engine.put(namePrefix+uuid, map[string]string{labelServer: uuid}, container.StatePaused)
					if err := os.WriteFile(filepath.Join(makeServerDir(t, engine, uuid, 0), frozenFile), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				ctx, end := context.WithCancel(t.Context())
				s := New(ctx, engine, Options{State: engine.state}, quiet())
				hold(engine, s)
				go s.keepThawed(ctx)
				time.Sleep(thawLimit + 2*thawEvery)
				synctest.Wait()
				if state := engine.containers[namePrefix+serverID].State.Status; state != container.StateRunning {
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
			delete(engine.files, "/etc/shadow")
			engine.modes[path] = mode
			status, body := ask(t, engine, "PUT", serverPath+"/password", `{"password":"secret"}`)
			wantFault(t, status, body, 400, agent.BadRequest)
			if want := path + " is " + says; !strings.Contains(body, want) {
				t.Errorf("got %s, want %s", body, want)
			}
			if slices.Contains(engine.called(), "CopyFromContainer "+path) {
				t.Errorf("%s, %s, was opened", path, says)
			}
		}
	}
}

func TestAFileOfAnySizeIsNotRead(t *testing.T) {
	engine := withAccounts()
	engine.files["/etc/shadow"] = make([]byte, fileLimit+1)
	status, body := ask(t, engine, "PUT", serverPath+"/password", `{"password":"secret"}`)
	wantFault(t, status, body, 400, agent.BadRequest)
	if slices.Contains(engine.called(), "CopyFromContainer /etc/shadow") {
		t.Errorf("asked Docker for %q", engine.called())
	}
}

// TestAnImageThatHidesItsFiles boots, without what has no place in it, and its owner is told.
func TestAnImageThatHidesItsFiles(t *testing.T) {
	for name, path := range map[string]string{"the accounts": "/etc/passwd", "the passwords": "/etc/shadow", "root's keys": authorizedKeys} {
		t.Run(name, func(t *testing.T) {
			engine := withImage(t)
			engine.modes[path] = fs.ModeSymlink
			boot(t, engine, func(s *agent.Spec) { s.Password, s.PublicKey = "secret", "ssh-ed25519 AAAA me" })
			status, body := ask(t, engine, "GET", serverPath+"/console", "")
			wantOK(t, status, body)
			if want := path + " is a symbolic link"; !strings.Contains(body, "[ndock] ") || !strings.Contains(body, want) {
				t.Errorf("got %q, want %s", body, want)
			}
			delete(engine.modes, path)
			delete(engine.containers, namePrefix+serverID)
			boot(t, engine, func(*agent.Spec) {})
			if _, body := ask(t, engine, "GET", serverPath+"/console", ""); strings.Contains(body, "[ndock] ") {
				t.Errorf("made anew it still says %q", body)
			}
		})
	}
}
