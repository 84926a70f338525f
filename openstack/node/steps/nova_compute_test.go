package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ndock/openstack"
	"ndock/openstack/node/layout/layouttest"
	"ndock/openstack/node/system"
)

// thoughtful takes longer to answer than anyone waits.
type thoughtful struct{ system.Services }

func (thoughtful) PID(ctx context.Context, _ system.Service) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (thoughtful) ReadLog(system.Service) string { return "the log" }

// TestAServiceManagerThatIsSlow: a timeout of its answer does not mean that nova-compute has ended.
func TestAServiceManagerThatIsSlow(t *testing.T) {
	n := &novaCompute{Machine: Machine{Services: thoughtful{}, Timeouts: Timeouts{Poll: time.Millisecond, Compute: time.Millisecond}}}
	if err := n.waitWhileItLoads(t.Context()); err != nil {
		t.Error(err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.waitWhileItLoads(interrupted); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// What the former process logs as it ends is not why the new one did not start.
func TestErrorsOfTheFormerProcessAreLeftOut(t *testing.T) {
	f := newFake(t, false)
	now := time.Now().Format("2006-01-02 15:04:05.000")
	f.put("/var/log/nova/nova-compute.log", now+" 7 ERROR nova before\n", 0o644)
	f.fail["service nova-compute restart"] = "exit status 1"
	f.ending["nova-compute"] = "2999-01-01 00:00:00.000 7 ERROR nova connection lost\n2001-01-01 00:00:00.000 9 ERROR nova of another year\n"
	_, err := f.setup()
	if err == nil || strings.Contains(err.Error(), "ERROR") {
		t.Errorf("got %v", err)
	}
}

const novaLog = "/var/log/nova/nova-compute.log"

// logs has nova-compute log an error when this command restarts it.
func (f *fakeMachine) logs(command, text string) (line string) {
	f.t.Helper()
	line = "2999-01-01 00:00:00.000 9 ERROR nova " + text
	f.after[command] = func() { f.put(novaLog, line+"\n", 0o644) }
	return line
}

// TestANovaComputeThatIsNeverReady: with Type=notify systemd waits for ever, as nova-compute does for its broker. Setup fails
// with the reason, and is rolled back.
func TestANovaComputeThatIsNeverReady(t *testing.T) {
	f := newFake(t, true)
	f.unready["nova-compute"] = true
	reason := f.logs("systemctl restart --no-block nova-compute.service", "Connection failed: [Errno 111] ECONNREFUSED")
	before := f.tree()
	said, err := f.setup()
	if want := "nova-compute: gave up after 50ms: nova-compute does not say that it is ready (process "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "): "+reason) {
		t.Errorf("got %v", err)
	}
	if want := "undo: nova-compute: restarted service nova-compute, which is not ready yet"; !strings.Contains(said, want) {
		t.Errorf("said\n%s", said)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// TestANovaComputeThatSystemdStartsAgain and again has ended, whatever the job says.
func TestANovaComputeThatSystemdStartsAgain(t *testing.T) {
	f := newFake(t, true)
	f.shown = map[string]string{"SubState": "auto-restart\n", "Job": "17\n"}
	reason := f.logs("systemctl restart --no-block nova-compute.service", "nova.exception.InvalidConfiguration: No local node identity found")
	if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "nova-compute: nova-compute ended soon after it was started: "+reason) {
		t.Errorf("got %v", err)
	}
}

// TestANovaComputeThatIsReplaced by systemd, while setup waits for it, has ended.
func TestANovaComputeThatIsReplaced(t *testing.T) {
	for name, unready := range map[string]bool{"before it was ready": true, "soon after it was started": false} {
		f := newFake(t, true)
		f.unready["nova-compute"] = unready
		f.Timeouts.Start, f.Timeouts.Compute = time.Minute, time.Minute
		looks := 0
		f.Services = &restarting{Services: f.Services, look: func() {
			if looks++; looks > 20 {
				f.stop("nova-compute")
				f.start("nova-compute")
			}
		}}
		if _, err := f.setup(); err == nil || !strings.Contains(err.Error(), "nova-compute: nova-compute ended "+name) {
			t.Errorf("got %v", err)
		}
	}
}

// restarting does something whenever nova-compute is looked at.
type restarting struct {
	system.Services
	look func()
}

func (r *restarting) PID(ctx context.Context, s system.Service) (int, error) {
	if s.Name == "nova-compute" {
		r.look()
	}
	return r.Services.PID(ctx, s)
}

// TestWhyTheHypervisorDoesNotCome is read from nova-compute's log, whether the process has ended or runs.
func TestWhyTheHypervisorDoesNotCome(t *testing.T) {
	const restart = "service nova-compute restart"
	for name, c := range map[string]struct {
		happens func(f *fakeMachine)
		want    string
	}{
		"it runs": {func(*fakeMachine) {}, "gave up after 50ms: host node-1 is listed by Nova as a hypervisor of type fake that is up: "},
		"it ends": {func(f *fakeMachine) { f.stop("nova-compute") }, "nova-compute has ended: "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.deaf["nova-compute"] = true
			reason := f.logs(restart, "nova.exception.InvalidConfiguration: No local node identity found")
			f.Nova = func(context.Context) (Cloud, error) {
				return &late{f, func() {
					if slices.Contains(f.commands, restart) {
						c.happens(f)
					}
				}}, nil
			}
			if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "hypervisor: wait for the hypervisor: "+c.want+reason) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// late does something before Nova answers.
type late struct {
	*fakeMachine
	before func()
}

func (l *late) Hypervisors(ctx context.Context) ([]openstack.Hypervisor, error) {
	l.before()
	return l.fakeMachine.Hypervisors(ctx)
}

// TestWhyAHypervisorIsGone is read from the log of the present process, which this run did not start.
func TestWhyAHypervisorIsGone(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.deaf["nova-compute"] = true
	old := time.Now().Add(-time.Hour).Format("2006-01-02 15:04:05.000")
	now := time.Now().Add(time.Second).Format("2006-01-02 15:04:05.000")
	pid := f.pid("nova-compute")
	reason := fmt.Sprintf("%s %d ERROR nova nova.exception.ServiceTooOld: too old", now, pid)
	f.put(novaLog, fmt.Sprintf("%s %d ERROR nova of another process of that number\n%s\n%s %d ERROR nova of another\n", old, pid, reason, now, pid+1), 0o644)
	if _, err := f.setup(); err == nil || !strings.HasSuffix(err.Error(), ": "+reason) {
		t.Errorf("got %v", err)
	}
}

// TestTheLastErrorOnKolla: in its container nova-compute has another process number, and logs that.
func TestTheLastErrorOnKolla(t *testing.T) {
	f := fakeOf(t, true, layouttest.Kolla)
	_, err := f.setup()
	f.must(err)
	line := time.Now().Add(time.Second).Format("2006-01-02 15:04:05.000") + " 7 ERROR nova lost"
	f.put(f.Layout.Compute.Log, line+"\n", 0o644)
	if got := f.status(f.Layout.Compute.Name); !strings.HasSuffix(got.Detail, "; what it complained about last: "+line) {
		t.Errorf("got %v", got)
	}
}

// TestAFormerProcessThatDoesNotEnd does not count as the new one.
func TestAFormerProcessThatDoesNotEnd(t *testing.T) {
	f := newFake(t, true)
	f.shown = map[string]string{"SubState": "running\n", "Job": "17\n"}
	f.after["systemctl restart --no-block nova-compute.service"] = func() { f.put(pidFile("nova-compute"), "7", 0o644) }
	if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "nova-compute: gave up after 50ms: nova-compute does not end (process 7)") {
		t.Errorf("got %v", err)
	}
}
