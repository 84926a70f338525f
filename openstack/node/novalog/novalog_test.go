package novalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lastOf returns the last error of a log with these lines, of one process and in Nova's own format.
func lastOf(t *testing.T, of int, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nova-compute.log")
	text := ""
	for _, line := range lines {
		if !strings.HasPrefix(line, " ") { // what a message has beside its first line has no time
			line = "2026-11-27 11:44:39.458 1385 " + line
		}
		text += line + "\n"
	}
	check(t, os.WriteFile(path, []byte(text), 0o600))
	return strings.TrimPrefix(Log{Path: path, Process: of}.LastError(), "2026-11-27 11:44:39.458 1385 ")
}

// ordinaryStart is what releases 26, 31 and 34 log at every start with a connection to the databases in their configuration.
var ordinaryStart = []string{
	"INFO nova.virt.driver [None req-ac39d0d6 - - - - - -] Loading compute driver 'docker.DockerDriver'",
	`ERROR nova.db.main.api [None req-5554a79e - - - - - -] No DB access allowed in nova-compute:   File "/usr/lib/python3.14/threading.py", line 1044, in _bootstrap`,
	"    self._bootstrap_inner()",
	"WARNING nova.objects.service [None req-5554a79e - - - - - -] Failed to get minimum service version for cell 00000000-0000-0000-0000-000000000000",
	"INFO nova.service [-] Starting compute node (version 31.0.0)",
	"INFO nova.virt.docker.driver [-] ndock's agent 1.0 answers, with Docker Engine 26.1.5",
}

func TestErrorsOfEveryStartAreLeftOut(t *testing.T) {
	if got := lastOf(t, 1385, ordinaryStart...); got != "" {
		t.Errorf("got %q", got)
	}
	const lost = "ERROR oslo.messaging._drivers.impl_rabbit [-] Connection failed: [Errno 111] ECONNREFUSED"
	if got := lastOf(t, 0, append(ordinaryStart, lost)...); got != lost {
		t.Errorf("what came later: got %q", got)
	}
	if got := lastOf(t, 0, lost); got != lost { // it waits for the broker before it begins
		t.Errorf("before it begins: got %q", got)
	}
}

// That another process is ready does not outdate the error of one that failed: systemd starts it again and again.
func TestErrorsOfAnotherProcessStay(t *testing.T) {
	const failed = "2026-11-27 11:44:30.000 7 ERROR nova nova.exception.InvalidConfiguration: No local node identity found"
	path := filepath.Join(t.TempDir(), "nova-compute.log")
	check(t, os.WriteFile(path, []byte(failed+"\n2026-11-27 11:44:39.458 8 INFO nova.service [-] Starting compute node (version 31.0.0)\n"), 0o600))
	if got := (Log{Path: path}).LastError(); got != failed {
		t.Errorf("got %q", got)
	}
}

// TestTracebacks: the last error is the line with the exception, of the last one where several belong together.
func TestTracebacks(t *testing.T) {
	chained := append(ordinaryStart[:len(ordinaryStart):len(ordinaryStart)],
		"CRITICAL nova [None req-00f43ec1 - - - - - -] Unhandled error: nova.exception.HypervisorUnavailable: Connection to the hypervisor is broken on host",
		"ERROR nova Traceback (most recent call last):",
		`ERROR nova   File "/usr/lib/python3/dist-packages/nova/virt/libvirt/host.py", line 650, in get_connection`,
		"ERROR nova     conn = self._get_connection()",
		"ERROR nova            ~~~~~~~~~~~~~~~~~~~~^^",
		"ERROR nova libvirt.libvirtError: internal error: Unable to get system bus connection",
		"ERROR nova and a second line of it",
		"ERROR nova ",
		"ERROR nova During handling of the above exception, another exception occurred:",
		"ERROR nova ",
		"ERROR nova Traceback (most recent call last):",
		`ERROR nova   File "/usr/bin/nova-compute", line 10, in <module>`,
		"ERROR nova nova.exception.HypervisorUnavailable: Connection to the hypervisor is broken on host",
		"ERROR nova (Background on this error at: https://example.com/)",
		"ERROR nova ",
	)
	if got, want := lastOf(t, 1385, chained...), "ERROR nova nova.exception.HypervisorUnavailable: Connection to the hypervisor is broken on host"; got != want {
		t.Errorf("got %q", got)
	}
	const spawn = "ERROR nova.compute.manager [instance: 3f265119-55f3-4f46-a7e8-09c1c605d391] nova.virt.docker.agent.AgentError: no room"
	ofServer := []string{
		"ERROR nova.compute.manager [None req-1 u p - - default default] [instance: 3f265119-55f3-4f46-a7e8-09c1c605d391] Instance failed to spawn: nova.virt.docker.agent.AgentError: no room",
		"ERROR nova.compute.manager [instance: 3f265119-55f3-4f46-a7e8-09c1c605d391] Traceback (most recent call last):",
		`ERROR nova.compute.manager [instance: 3f265119-55f3-4f46-a7e8-09c1c605d391]   File "x.py", line 1, in spawn`,
		spawn,
		"ERROR nova.compute.manager [instance: 3f265119-55f3-4f46-a7e8-09c1c605d391] ",
	}
	if got := lastOf(t, 1385, append(chained, ofServer...)...); got != spawn {
		t.Errorf("got %q", got)
	}
	const later = "ERROR nova.scheduler.client.report [None req-2 - - - - - -] Failed to update inventory"
	if got := lastOf(t, 1385, append(append(chained, ofServer...), "INFO nova.compute.claims [-] fine", later)...); got != later {
		t.Errorf("got %q", got)
	}
	if got := lastOf(t, 1385, append(ofServer, "ERROR nova of another form")...); got != "ERROR nova of another form" {
		t.Errorf("got %q", got)
	}
}

// Errors of other processes are left out.
func TestTheLastErrorOfAProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nova-compute.log")
	text := strings.Repeat("x\n", tailSize) + "2026-11-25 20:08:07.335 7 ERROR nova first\n2026-11-25 20:08:08.335 7 ERROR nova second\n2026-11-25 20:08:09.335 17 ERROR nova another's\n2026-11-25 20:08:09.335 7 INFO nova fine\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]string{7: "2026-11-25 20:08:08.335 7 ERROR nova second", 17: "2026-11-25 20:08:09.335 17 ERROR nova another's", 8: ""} {
		if got := (Log{Path: path, Process: pid}).LastError(); got != want {
			t.Errorf("%d: got %q", pid, got)
		}
	}
	since := time.Date(2026, 11, 25, 20, 8, 8, 400_000_000, time.Local) // when another process of that number was begun
	if got := (Log{Path: path, Process: 7, Since: since}).LastError(); got != "" {
		t.Errorf("of the process before: got %q", got)
	}
	if got := (Log{Path: path + "-none", Process: 7}).LastError(); got != "" {
		t.Errorf("got %q", got)
	}
}

// FuzzLastError: whatever nova writes to its log, no control character of it is shown.
func FuzzLastError(f *testing.F) {
	f.Add([]byte("2026-11-25 20:08:07.335 7 ERROR nova \x1b[2Jgone\n"))
	f.Add([]byte("7 CRITICAL \xff\xfe ERROR \r\n ERROR "))
	f.Fuzz(func(t *testing.T, log []byte) {
		path := filepath.Join(t.TempDir(), "nova-compute.log")
		check(t, os.WriteFile(path, log, 0o600))
		for _, pid := range []int{0, 7} {
			for _, r := range (Log{Path: path, Process: pid}).LastError() {
				if r < ' ' || r == 0x7f {
					t.Errorf("%q is told", r)
				}
			}
		}
	})
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
