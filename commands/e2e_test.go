package commands_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestEndToEnd runs each file of testdata/e2e against the test cloud (make cloud), one after another: there is one
// compute node. It is skipped where no cloud is named; 'make e2e' and 'make test' name it.
func TestEndToEnd(t *testing.T) {
	cloud := prepare(t, "NDOCK_E2E_CLOUD")
	runScripts(t, "testdata/e2e/*.txtar", cloud)
	t.Run("docs", docs)
}

// TestTwoHosts runs what needs a second compute node, which the scripts make: 'make two-hosts'.
func TestTwoHosts(t *testing.T) {
	runScripts(t, "testdata/e2e-two-hosts/*.txtar", prepare(t, "NDOCK_TWO_HOSTS_CLOUD"))
}

// guestScripts are those of testdata/e2e that ask nothing of their host but its engine and its services.
var guestScripts = []string{"server", "bad-server", "lifecycle", "snapshot", "rescue", "ports", "nova"}

// TestGuest runs what needs a host with all that compute nodes of today have, in the guest that 'make vm' has brought up: its
// own scripts, and some that were told on a host with less. Meanwhile the cloud's first host takes no servers.
func TestGuest(t *testing.T) {
	cloud := prepare(t, "NDOCK_GUEST_CLOUD")
	first, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	takesServers := func(host, flag string) {
		run(t, "openstack", "--os-cloud", cloud, "compute", "service", "set", flag, host, "nova-compute")
	}
	t.Cleanup(func() { takesServers(first, "--enable"); takesServers("guest", "--disable") })
	takesServers("guest", "--enable")
	takesServers(first, "--disable")
	t.Setenv("HOST", first)
	useGuest(t)
	runScripts(t, "testdata/e2e-guest/*.txtar", cloud)
	for _, name := range guestScripts {
		runScripts(t, "testdata/e2e/"+name+".txtar", cloud)
	}
}

// hostShell runs commands where servers are.
var hostShell = []string{"sh", "-s"}

// useGuest has scripts meet the guest's engine and services, where they speak of a host's.
func useGuest(t *testing.T) {
	t.Helper()
	hostShell = []string{"ssh", "guest", "sh", "-s"}
	socket := filepath.Join(t.TempDir(), "docker.sock")
	forward := exec.Command("sh", "-c", `while ! ssh -o ControlPath=none -o StreamLocalBindUnlink=yes -o ServerAliveInterval=5 -N -L "$0:/run/docker.sock" guest; do sleep 1; done`, socket) // it is rebooted
	forward.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-forward.Process.Pid, syscall.SIGKILL); forward.Wait() })
	run(t, "timeout", "60", "sh", "-c", "until test -S "+socket+"; do sleep 0.2; done")
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	bin, err := filepath.Abs("testdata/e2e-guest/bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// prepare gives the test what scripts use, and skips it where the variable names no cloud.
func prepare(t *testing.T, variable string) string {
	t.Helper()
	cloud := os.Getenv(variable)
	if cloud == "" {
		t.Skip(variable + " names no cloud: 'make' does, see 'make help'")
	}
	takeCloud(t, "/run/ndock-e2e.lock") // each cloud has a /run of its own
	root := projectRoot(t)
	t.Chdir(root)
	// The binary that users have, not this test's own; and what makes images and groups.
	t.Setenv("PATH", strings.Join([]string{filepath.Join(root, "bin"), filepath.Join(root, "testdata", "images"), os.Getenv("PATH")}, string(os.PathListSeparator)))
	t.Setenv("UP", filepath.Join(root, "testdata", "cloud", "start"))
	t.Setenv("CRASH", filepath.Join(root, "testdata", "cloud", "crash"))
	t.Setenv("PORTS", filepath.Join(root, "testdata", "bench", "ports"))
	t.Setenv("SECOND_HOST", filepath.Join(root, "testdata", "cloud", "second-host"))
	t.Setenv("OS_CLOUD", cloud+"-demo") // an ordinary tenant, unless a script says otherwise
	serveOpenStackClient(t, filepath.Join(root, "testdata", "openstackclient"))
	run(t, "env", "OS_CLOUD="+cloud, "ndock", "node", "setup")
	run(t, "/usr/bin/python3", "testdata/cloud/seed.py", "group", "e2e-open")
	clearUp(t, cloud)
	return cloud
}

// clearUp removes what a run that was killed left on the cloud, and has its first host take servers again.
func clearUp(t *testing.T, cloud string) {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tidy(t)
	run(t, "sh", "-c", `openstack image list -f value -c ID -c Name | awk '/ e2e-/ { print $1 }' | xargs -r openstack image delete`) // those that ndock does not list, too
	tidyNetworks(t)
	run(t, "openstack", "--os-cloud", cloud, "compute", "service", "set", "--enable", host, "nova-compute")
}

// takeCloud makes this the only run on the cloud whose file that is, until the test or its process ends.
func takeCloud(t *testing.T, path string) {
	t.Helper()
	lock, err := onlyRun(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
}

// onlyRun locks the file and writes this process's number in it; it fails at once where another holds it. Nothing that this
// process starts inherits the lock.
func onlyRun(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take the cloud for this run: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(lock, 20)) // the lock decides; this tells whose it is
		err = fmt.Errorf("another end-to-end run (process %s) uses this cloud, and each removes the other's servers: wait until it ends", pid)
	}
	if err == nil {
		err = lock.Truncate(0)
	}
	if err == nil {
		_, err = lock.WriteString(strconv.Itoa(os.Getpid()))
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return lock, nil
}

// TestOnlyRun has a second run refused, with the first one's process, until that one ends.
func TestOnlyRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("12345678 of a run that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := onlyRun(path)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60") // what a run leaves behind must not keep the cloud
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	if _, err := onlyRun(path); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another end-to-end run (process %d) uses this cloud", os.Getpid())) {
		t.Errorf("beside another run: %v", err)
	}
	first.Close()
	again, err := onlyRun(path)
	if err != nil {
		t.Fatalf("after the other run: %v", err)
	}
	again.Close()
}

// serveOpenStackClient has the scripts' commands of openstackclient run by a process that has imported it once: by itself
// each takes two seconds to begin.
func serveOpenStackClient(t *testing.T, dir string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	serve := exec.Command(filepath.Join(dir, "serve"), socket)
	serve.Stderr = os.Stderr
	stdin, err := serve.StdinPipe() // it ends with us, however we end
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); serve.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s said %q instead of being ready: %v", serve.Path, line, err)
	}
	t.Setenv("OPENSTACK_SERVE", socket)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// novaCompute is Nova's configuration of this compute node.
const novaCompute = "/etc/nova/nova-compute.conf"

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// putBack has nova-compute run with the settings of before. Where a script broke off without a driver, setup comes first:
// it keeps the settings that teardown goes back to.
func putBack(t *testing.T, cloud, settings string) {
	t.Helper()
	if t.Failed() {
		run(t, "env", "OS_CLOUD="+cloud, "ndock", "node", "setup", "--force")
	}
	if read(t, novaCompute) == settings {
		return
	}
	if err := os.WriteFile(novaCompute, []byte(settings), 0o640); err != nil {
		t.Fatal(err)
	}
	run(t, "service", "nova-compute", "restart")
	run(t, "timeout", "60", "sh", "-c", `until rabbitmqctl -q list_consumers | grep "^compute\.$(hostname)"; do sleep 0.2; done`)
}

func runScripts(t *testing.T, pattern, cloud string) {
	t.Helper()
	scripts, err := filepath.Glob(pattern)
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts %s: %v", pattern, err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) { endToEnd(t, script, cloud) })
	}
}

func endToEnd(t *testing.T, script, cloud string) {
	tidy(t)
	before := leftovers(t)
	settings := read(t, novaCompute)
	t.Cleanup(func() {
		if t.Failed() { // it may have stopped a service, which the next one needs
			run(t, os.Getenv("UP"))
		}
		if read(t, novaCompute) != settings { // a script may try others
			putBack(t, cloud, settings)
		}
		tidy(t)
		if t.Failed() { // scripts remove these themselves, and asking takes long
			tidyNetworks(t)
		}
		if left := leftovers(t); left != before {
			t.Errorf("left behind on the host:\n%s", left)
		}
	})
	testscript.Run(t, testscript.Params{
		Files:               []string{script},
		RequireExplicitExec: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"capture": capture, "retry": retry, "clean-host": cleanHost, "put-back": putBackFiles, "agent-log": agentLog,
		},
		Condition: condition,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"PATH", "OPENSTACK_SERVE", "OS_CLOUD", "UP", "CRASH", "PORTS", "SECOND_HOST", "HOST", "DOCKER_HOST", "RELEASE", "NETWORK"} {
				env.Setenv(name, os.Getenv(name))
			}
			env.Setenv("ADMIN", cloud)
			return nil
		},
	})
}

// hostConditions are of the machine where servers are, by what is asked there.
var hostConditions = map[string]string{
	"apparmor": "test -d /sys/kernel/security/apparmor",
	"selinux":  "test -e /sys/fs/selinux/enforce",
	"xfs":      `test "$(stat -f -c %T /var/lib/docker)" = xfs`,
	"btrfs":    `test "$(stat -f -c %T /var/lib/docker)" = btrfs`,
	"quota":    `stat -f -c %T /var/lib/docker | grep -qxE 'xfs|btrfs'`, // of root disks
}

// condition knows [ovn], of a cloud whose network is OVN, [containerd], of an engine with containerd's image store,
// [overlay2], of one with that storage driver, [host2-systemd], of a second host that boots with systemd, [host-kernel],
// and hostConditions.
func condition(name string) (bool, error) {
	switch name {
	case "ovn": // by its process id, since another root's may run beside it
		return exec.Command("start-stop-daemon", "--status", "--pidfile", "/run/ovn/ovn-controller.pid").Run() == nil, nil
	case "containerd":
		out, err := exec.Command("docker", "info", "-f", "{{.DriverStatus}}").Output()
		return strings.Contains(string(out), "io.containerd.snapshotter"), err
	case "overlay2":
		out, err := exec.Command("docker", "info", "-f", "{{.Driver}}").Output()
		return strings.TrimSpace(string(out)) == "overlay2", err
	case "host2-systemd": // also of one that is not there yet
		return exec.Command(os.Getenv("SECOND_HOST"), "systemd").Run() == nil, nil
	case "host-kernel": // the kernel's limits are all in sight, and no other cloud's: not in a root's namespaces
		_, err := os.Stat("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
		return err == nil, nil
	}
	if question, ok := hostConditions[name]; ok {
		ask := exec.Command(hostShell[0], hostShell[1:]...)
		ask.Stdin = strings.NewReader(question)
		return ask.Run() == nil, nil
	}
	return false, fmt.Errorf("there is no condition %q", name)
}

// capture VAR: keep what the last command printed.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture VAR")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// retry SECONDS COMMAND…: until it succeeds (or fails, when negated). It is how scripts wait for a condition. It soon asks
// only once a second: what is waited for needs the processors, too.
func retry(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] retry SECONDS COMMAND…")
	}
	seconds, err := strconv.Atoi(args[0])
	ts.Check(err)
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for pause := 200 * time.Millisecond; ; pause = min(pause*5/4, time.Second) {
		if err = ts.Exec(args[1], args[2:]...); (err != nil) == neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %d s still: %v", seconds, err)
		}
		time.Sleep(pause)
	}
}

// put-back FILE…: when the script ends, however it ends, each is as it is now, or gone.
func putBackFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: put-back FILE…")
	}
	for _, file := range args {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			ts.Defer(func() { os.Remove(file) })
			continue
		}
		ts.Check(err)
		ts.Defer(func() {
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, content) { // a file that is written anew looks changed
				ts.Check(os.WriteFile(file, content, 0o644)) // of a file that is there, the mode stays
			}
		})
	}
}

// agent-log TEXT: print what the agent has logged with that text.
func agentLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: agent-log TEXT")
	}
	look := exec.Command(hostShell[0], hostShell[1:]...)
	look.Stdin = strings.NewReader("cat /var/log/ndock/agent.log 2>/dev/null || journalctl -q -o cat -u ndock-agent")
	out, err := look.Output()
	ts.Check(err)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, args[0]) {
			_, err = io.WriteString(ts.Stdout(), line)
			ts.Check(err)
		}
	}
}

// clean-host: nothing of any server may be left on this host.
func cleanHost(ts *testscript.TestScript, _ bool, _ []string) {
	if left, err := hostLeftovers(); err != nil || left != "" {
		ts.Fatalf("left behind on the host: %v\n%s", err, left)
	}
}

func leftovers(t *testing.T) string {
	t.Helper()
	left, err := hostLeftovers()
	if err != nil {
		t.Fatal(fmt.Errorf("look for what is left on this host: %w", err))
	}
	return left
}

// hostLeftovers lists containers, veth pairs, namespaces, directories, copied names, recorded runtimes and marks of servers.
func hostLeftovers() (string, error) {
	look := exec.Command(hostShell[0], hostShell[1:]...)
	look.Stdin = strings.NewReader(`
		docker ps -a --filter label=ndock.server --format 'container {{.Names}}'
		ls -d /var/lib/ndock/servers/* /var/lib/ndock/runtimes/* /run/ndock/netns/* /run/ndock/names/* /run/ndock/oom/* 2>/dev/null
		ip -o link show | grep -oE '(ndk|qbr|qvb|qvo)[0-9a-f-]*' | sort -u
		! ovsdb-client list-dbs unix:/run/openvswitch/db.sock >/dev/null 2>&1 || ovs-vsctl --bare --columns=name find Interface 'external_ids:vm-uuid!=""'
	`)
	out, err := look.Output()
	return string(out), err
}

// tidy removes what scripts make, all of it named e2e-…: also after one that broke off.
func tidy(t *testing.T) {
	t.Helper()
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ndock", "list"}, []string{"ndock", "delete", "--wait"}},
		{[]string{"ndock", "image", "list"}, []string{"ndock", "image", "delete"}},
	} {
		var ids []string
		for _, line := range strings.Split(run(t, append(kind.list, "-f", "value", "-c", "ID", "-c", "Name")...), "\n") {
			if id, name, _ := strings.Cut(line, " "); strings.HasPrefix(name, "e2e-") {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			run(t, append(kind.remove, ids...)...)
		}
	}
	run(t, "sh", "-c", `openstack image list --hidden -f value -c ID -c Name | awk '/ (sha256:|upload |condemned )/ { print $1 }' | xargs -r openstack image delete`)
	run(t, "sh", "-c", `docker images --format '{{.Repository}}:{{.Tag}}' | grep -E '^(e2e-|ndock/glance:)' | xargs -r docker rmi`)
}

// tidyNetworks removes the networks that a script left, which would make each later boot ask for one, its ports and its
// security groups, but for the one that all scripts have.
func tidyNetworks(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"port", "network", "security group"} {
		run(t, "sh", "-c", "openstack "+kind+" list -f value -c ID -c Name | awk '/ e2e-/ && !/ e2e-open/ { print $1 }' | xargs -r openstack "+kind+" delete")
	}
}

func run(t *testing.T, command ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, out, stderr.String()))
	}
	return string(out)
}
