package steps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ndock/openstack"
	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/jsonedit"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/layout/layouttest"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
)

// fakeMachine is a tree like that of Debian's packages, with commands that are recorded and do to the tree what
// the real ones would.
type fakeMachine struct {
	Machine
	t              *testing.T
	root           string
	systemd        bool
	commands       []string          // that change something
	fail           map[string]string // the command, and what it says when it fails
	before, after  map[string]func() // what happens when a command is run
	deaf           map[string]bool   // services that start but do not answer
	brief          map[string]bool   // services that end at once
	unready        map[string]bool   // services that run and never tell systemd that they are ready
	ending         map[string]string // what services that are restarted say to their log as they end
	live           bool              // the engine's live-restore
	flag           bool              // it is given as one
	swarm          bool
	runtimes       map[string]string   // of the engine: their programs, by their names
	info           EngineInfo          // beside those
	filter         map[string][]string // what the packet filter has, by command and table
	unreadable     map[string]string   // a command of the packet filter's, and what it says instead
	shown          map[string]string   // what systemd says of Docker Engine's unit, by property
	foreign        bool                // the engine that answers is no service of this machine's
	versions       map[string]string   // what the packet filter's commands say of themselves
	stoppedServers bool                // as an engine does that is restarted without live-restore
	stubborn       bool                // the engine keeps to what it was started with
	sure, unsure   []string            // orphans
	interrupt      func()              // happens when orphans are removed
	cached         int                 // of the engine's images, those of Glance that no container uses
	lastPID        int
	virt           string                 // nova.virt's directory
	mounts         []string               // of Kolla's container; nil where there is none
	restarts       int                    // of that container, before it answers
	asked          string                 // the Python that was
	asker          []string               // by whom
	novaSays       func() (string, error) // what Nova's Python answers in place of what oslo.config would
	modules        []string               // of SELinux's
	version        string                 // of the engine, where it is not a usual one
	strict         bool                   // the engine does not start with the setting iptables
	failures       int                    // of Nova's API, before it answers
	unmapped       bool                   // Nova does not list the host before it is mapped to a cell
	listed         []openstack.Hypervisor
	residents      []openstack.Server
	holders        []string // of resources, beside those
	traits         []string // that Placement has of this host
}

const novaComputeConf = "[DEFAULT]\ncompute_driver=fake.SmallFakeDriver\n# ours\nneutron_ovs_bridge=br-int\n[libvirt]\nvirt_type=kvm\n"

func newFake(t *testing.T, systemd bool) *fakeMachine {
	t.Helper()
	return fakeOf(t, systemd, map[string]string{
		"/usr/bin/nova-compute":                                "#! /usr/bin/python3\n",
		"/usr/lib/python3/dist-packages/nova/virt/__init__.py": "",
		"/etc/nova/nova.conf":                                  "[DEFAULT]\n#compute_driver = <None>\nhost = node-1\n",
		"/etc/nova/nova-compute.conf":                          novaComputeConf,
		"/etc/init.d/nova-compute":                             "",
		"/usr/sbin/dockerd":                                    "",
	})
}

// fakeOf returns a machine with these files, on which nova-compute and Docker Engine run.
func fakeOf(t *testing.T, systemd bool, files map[string]string) *fakeMachine {
	t.Helper()
	f := &fakeMachine{t: t, root: t.TempDir(), systemd: systemd, fail: map[string]string{}, before: map[string]func(){}, after: map[string]func(){}, deaf: map[string]bool{}, brief: map[string]bool{}, unready: map[string]bool{}, ending: map[string]string{}, lastPID: 1000, virt: "/usr/lib/python3/dist-packages/nova/virt"}
	layouttest.Lay(t, f.root, files)
	for path := range files {
		if strings.HasSuffix(path, ".conf") {
			f.must(os.Chmod(f.path(path), 0o640))
		}
	}
	for _, dir := range []string{"/etc/docker", "/etc/ndock", "/usr/local/bin", "/usr/libexec", "/etc/rc2.d", "/etc/logrotate.d", "/etc/sysctl.d", "/etc/systemd/system/multi-user.target.wants", "/var/lib", "/run"} {
		f.must(os.MkdirAll(f.path(dir), 0o755))
	}
	f.must(os.Remove(f.path("/etc/ndock")))
	if systemd {
		f.must(os.MkdirAll(f.path("/run/systemd/system"), 0o755))
	}
	f.must(os.Mkdir(f.path("/proc"), 0o755))
	f.put("/proc/sys/net/ipv4/ip_forward", "1\n", 0o644)
	f.put("/usr/sbin/apparmor_parser", "", 0o755)
	f.must(os.Symlink("/proc/uptime", f.path("/proc/uptime")))
	f.info.Runc, f.info.Security = "1.3.3", []string{"apparmor", "seccomp", "userns"}
	f.info.Bridge, f.info.LogDriver, f.filter = true, "json-file", dockersFilter()
	f.Machine = f.machine()
	f.put(pidFile(f.Layout.Compute.Name), "7\n", 0o644)
	f.put("/run/docker.pid", "8\n", 0o644)
	f.process(7, 0)
	f.process(8, 0)
	f.listed = []openstack.Hypervisor{{ID: "1", Hostname: "other", Type: "QEMU", State: "up"}, {ID: "2", Hostname: f.Host, ServiceHost: f.Host, Type: "fake", State: "up"}}
	return f
}

func (f *fakeMachine) machine() Machine {
	layout, err := layout.Find(f.root, layout.Custom{})
	f.must(err)
	host, err := layout.Host()
	f.must(err)
	program := filepath.Join(f.t.TempDir(), "ndock")
	f.must(os.WriteFile(program, []byte("ndock of today"), 0o700))
	return Machine{
		Layout: layout, Host: host, Commands: f, Services: system.FindServices(f.root, f), Program: program, Runtime: []byte("ndock-runtime of today"), Completions: helpFiles("today"),
		Timeouts:    Timeouts{Poll: time.Millisecond, Engine: 50 * time.Millisecond, Agent: 50 * time.Millisecond, Start: 50 * time.Millisecond, Compute: 5 * time.Millisecond, Hypervisor: 50 * time.Millisecond, Nova: 50 * time.Millisecond},
		AgentConfig: []byte("# the operator's rules\n"),
		AgentState:  func(context.Context) (string, error) { return "root disks are limited by btrfs", nil },
		EngineInfo: func(context.Context) (EngineInfo, error) {
			version, err := f.answer("docker", cmp.Or(f.version, "20.10.24"))
			info := f.info
			info.Version, info.LiveRestore, info.Swarm, info.Runtimes = version, f.live, f.swarm, f.runtimes
			return info, err
		},
		Orphans:      f,
		AgentVersion: func(context.Context) (string, error) { return f.answer(agentName, "1.0") },
		Nova:         func(context.Context) (Cloud, error) { return f, nil },
		Glance:       func(context.Context) (Definitions, error) { return nil, &node.Unchecked{Why: "no cloud is named"} },
	}
}

// Orphans returns those that the test has set.
func (f *fakeMachine) Orphans(context.Context) (sure, unsure []string, err error) {
	_, err = f.answer(agentName, "")
	return slices.Clone(f.sure), f.unsure, err
}

// Remove removes the sure ones, as the agent does.
func (f *fakeMachine) Remove(context.Context) error {
	f.sure = nil
	if f.interrupt != nil {
		f.interrupt()
	}
	return nil
}

// RemoveImages removes those of Glance, once nova-compute fetches no more.
func (f *fakeMachine) RemoveImages(context.Context) (int, error) {
	if _, err := f.answer("docker", ""); err != nil {
		return 0, err
	}
	if now, err := f.inForce(context.Background(), section, key); f.cached > 0 && (err != nil || now.Value == novadriver.Driver) {
		f.t.Error("images are removed while nova-compute has the driver that fetches them")
	}
	removed := f.cached
	f.info.Images, f.cached = f.info.Images-removed, 0
	return removed, nil
}

// ServersOn returns those that the test has set.
func (f *fakeMachine) ServersOn(context.Context, string) ([]openstack.Server, error) {
	return f.residents, f.fails("list servers")
}

// Holders returns the servers, and others that the test has set.
func (f *fakeMachine) Holders(context.Context, string) ([]string, error) {
	holders := slices.Clone(f.holders)
	for _, server := range f.residents {
		holders = append(holders, server.ID)
	}
	return holders, nil
}

// RemoveTraits removes traits, as Placement does.
func (f *fakeMachine) RemoveTraits(_ context.Context, hypervisor string, traits []string) ([]string, error) {
	var removed []string
	f.traits = slices.DeleteFunc(f.traits, func(trait string) bool {
		if slices.Contains(traits, trait) {
			removed = append(removed, trait)
		}
		return slices.Contains(traits, trait)
	})
	if len(removed) > 0 {
		f.commands = append(f.commands, "remove traits of "+hypervisor)
	}
	return removed, nil
}

// Hypervisors answers as Nova does when nova-compute runs with the driver that is configured.
func (f *fakeMachine) Hypervisors(context.Context) ([]openstack.Hypervisor, error) {
	if err := f.fails("list hypervisors"); err != nil {
		return nil, err
	}
	all := slices.Clone(f.listed)
	if f.unmapped {
		return all[:1], nil
	}
	now, err := f.inForce(context.Background(), section, key)
	if err == nil && now.Value == novadriver.Driver && !f.deaf["nova-compute"] {
		all[1].Type = "docker"
	}
	return all, nil
}

// fails is what Nova answers for some time after a nova-compute has died.
func (f *fakeMachine) fails(op string) error {
	if f.failures == 0 {
		return nil
	}
	f.failures--
	return &openstack.Error{Op: op, Status: http.StatusInternalServerError, RequestID: "req-1", Err: errors.New("Unexpected API Error")}
}

func (f *fakeMachine) answer(service, version string) (string, error) {
	if service == "docker" && f.foreign {
		return version, nil
	}
	if pid := f.pid(service); pid == 0 || f.deaf[service] {
		return "", fmt.Errorf("%s does not answer", service)
	}
	return version, nil
}

var pidFiles = map[string]string{"nova-compute": "/run/nova/nova-compute.pid", "docker": "/run/docker.pid", agentName: "/run/ndock/agent.pid"}

func pidFile(service string) string {
	if path, ok := pidFiles[service]; ok {
		return path
	}
	return "/run/" + service + ".pid"
}

func (f *fakeMachine) pid(service string) int {
	content, _ := os.ReadFile(f.path(pidFile(service)))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return pid
}

// process makes /proc/PID of a process that was started at this uptime.
func (f *fakeMachine) process(pid int, begun float64) {
	f.put(fmt.Sprintf("/proc/%d/stat", pid), fmt.Sprintf("%d (a ) name) S%s %.0f 0", pid, strings.Repeat(" 0", 18), begun*100), 0o444)
}

// reload reads daemon.json, as the engine does on SIGHUP: what the file does not set stays.
func (f *fakeMachine) reload() {
	content, err := os.ReadFile(f.path("/etc/docker/daemon.json"))
	f.must(err)
	var settings struct {
		LiveRestore *bool `json:"live-restore"`
		Runtimes    map[string]struct{ Path string }
	}
	f.must(json.Unmarshal(bytes.TrimPrefix(content, jsonedit.ByteOrderMark), &settings))
	if f.stubborn {
		return
	}
	if settings.LiveRestore != nil {
		f.live = *settings.LiveRestore
	}
	if settings.Runtimes != nil {
		f.runtimes = map[string]string{}
		for name, runtime := range settings.Runtimes {
			f.runtimes[name] = runtime.Path
		}
	}
}

func (f *fakeMachine) start(service string) {
	if service == "docker" {
		f.live, f.runtimes = f.flag, nil
		content, _ := os.ReadFile(f.path("/etc/docker/daemon.json"))
		there, err := dockerd.Parse(content)
		f.must(err)
		f.info.Bridge = there.Bridge == nil || *there.Bridge != "none"
		if f.strict && there.IPTables != nil {
			return
		}
		if _, err := os.Stat(f.path("/etc/docker/daemon.json")); err == nil {
			defer f.reload()
		}
	}
	if f.brief[service] {
		f.put("/var/log/nova/nova-compute.log", "1 INFO nova up\n2 ERROR nova no such driver\n3 INFO nova down\n", 0o644)
		return
	}
	f.lastPID++
	uptime, err := os.ReadFile("/proc/uptime")
	f.must(err)
	var now float64
	_, err = fmt.Sscan(string(uptime), &now)
	f.must(err)
	f.process(f.lastPID, now)
	f.put(pidFile(service), strconv.Itoa(f.lastPID), 0o644)
}

func (f *fakeMachine) stop(service string) {
	f.stoppedServers = f.stoppedServers || service == "docker" && !f.live && f.info.Running > 0
	if pid := f.pid(service); pid != 0 {
		f.must(os.RemoveAll(f.path(fmt.Sprintf("/proc/%d", pid))))
		f.must(os.Remove(f.path(pidFile(service))))
	}
}

// Run does to the tree what a command would.
func (f *fakeMachine) Run(_ context.Context, command ...string) (string, error) {
	line := strings.Join(command, " ")
	switch {
	case slices.Contains(command, "-c") && slices.ContainsFunc(command, func(word string) bool { return strings.Contains(word, "oslo_config") }):
		f.asker = command[:slices.Index(command, "--")+1]
		question := command[slices.Index(command, "-c")+2:]
		return f.takes(question[0], question[1], question[2:])
	case command[len(command)-1] == "show-args":
		return strings.Join(f.scriptStarts(), " ") + "\n", nil
	case slices.Contains(command, "-E") && f.restarts > 0:
		f.restarts--
		return "", errors.New("exit status 137")
	case slices.Contains(command, "-E"): // Nova's Python
		f.asker = command[:slices.Index(command, "--")+1]
		f.asked = command[len(f.asker)]
		return f.virt + "\n", nil
	case slices.Contains(command, "inspect") && f.mounts == nil:
		return "", errors.New("exit status 1")
	case slices.Contains(command, "inspect"): // of Kolla's container
		return strings.Join(f.mounts, "\n") + "\n", nil
	case line == "semodule -l":
		return strings.Join(f.modules, "\n"), nil
	case strings.HasPrefix(line, "systemctl show"):
		return f.show(command[3], strings.TrimSuffix(command[5], ".service")), nil
	case len(command) == 2 && command[1] == "--version":
		return f.versions[command[0]], nil
	case strings.Contains(line, " -S") && f.unreadable[command[0]] != "":
		return "", errors.New(f.unreadable[command[0]])
	case strings.Contains(line, " -S"):
		return strings.Join(f.filter[command[0]+" "+tableOf(command)], "\n") + "\n", nil
	}
	f.commands = append(f.commands, line)
	if happens := f.before[line]; happens != nil {
		happens()
	}
	if happens := f.after[line]; happens != nil {
		defer happens()
	}
	if text := f.ending[command[len(command)-min(2, len(command))]]; text != "" && strings.HasSuffix(line, " restart") {
		log, _ := os.ReadFile(f.path("/var/log/nova/nova-compute.log"))
		f.put("/var/log/nova/nova-compute.log", string(log)+text, 0o644)
	}
	if said, ok := f.fail[line]; ok {
		return "", errors.New(said)
	}
	if strings.HasSuffix(line, " cell_v2 discover_hosts --by-service") {
		f.unmapped = false
	}
	switch command[0] {
	case "iptables", "ip6tables", "iptables-legacy", "iptables-nft":
		f.edit(command[0]+" "+tableOf(command), command[4:])
	case "apparmor_parser":
		f.put(profilesFile, map[string]string{"-r": "docker-default (enforce)\nndock-server (enforce)\n", "-R": "docker-default (enforce)\n"}[command[1]], 0o644)
	case "semodule":
		f.modules = slices.DeleteFunc(f.modules, func(module string) bool { return module == "ndock" })
		if command[1] == "-i" {
			f.modules = append(f.modules, "ndock")
		}
	case "apt-get", "dnf":
		f.put("/usr/sbin/dockerd", "", 0o755)
	case "kill":
		f.reload()
	case "service":
		f.control(command[1], command[2])
	case "systemctl":
		if f.unready[strings.TrimSuffix(command[len(command)-1], ".service")] && command[1] == "restart" && !slices.Contains(command, "--no-block") {
			return "", errWaitsForEver
		}
		if len(command) >= 3 { // --no-block comes in between
			f.control(strings.TrimSuffix(command[len(command)-1], ".service"), command[1])
		}
	case "update-rc.d":
		f.control(strings.Join(command[1:len(command)-1], ""), command[len(command)-1])
	}
	return "", nil
}

func (f *fakeMachine) show(property, service string) string {
	if property == "MainPID" {
		return fmt.Sprintln(f.pid(service))
	}
	if property == "ExecStart" && service == f.Layout.Compute.Name {
		return f.unitStarts(service)
	}
	if property == "SubState" && f.shown[property] == "" {
		switch {
		case f.pid(service) == 0:
			return "dead\n"
		case f.unready[service]:
			return "start\n"
		}
		return "running\n"
	}
	if property != "UnitFileState" {
		return f.shown[property]
	}
	if _, err := os.Lstat(f.path("/etc/systemd/system/multi-user.target.wants/" + service)); err == nil {
		return "enabled\n"
	}
	return "disabled\n"
}

func (f *fakeMachine) control(service, verb string) {
	rc, wants := f.path("/etc/rc2.d/S01"+strings.TrimPrefix(service, "-f")), f.path("/etc/systemd/system/multi-user.target.wants/"+service)
	switch verb {
	case "start":
		if f.pid(service) == 0 {
			f.start(service)
		}
	case "restart":
		f.stop(service)
		f.start(service)
	case "stop":
		f.stop(service)
	case "defaults":
		_ = os.Symlink("../init.d/"+service, rc)
	case "remove":
		f.must(os.RemoveAll(rc))
	case "enable":
		if f.systemd {
			_ = os.Symlink("../"+service, wants)
		}
	case "disable":
		f.must(os.RemoveAll(wants))
	}
}

func (f *fakeMachine) path(path string) string { return filepath.Join(f.root, path) }

func (f *fakeMachine) exists(path string) bool { _, err := os.Stat(f.path(path)); return err == nil }

func (f *fakeMachine) put(path, content string, mode fs.FileMode) {
	f.t.Helper()
	f.must(os.MkdirAll(filepath.Dir(f.path(path)), 0o755))
	f.must(os.WriteFile(f.path(path), []byte(content), mode))
	f.must(os.Chmod(f.path(path), mode))
}

func (f *fakeMachine) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// tree returns every file of the machine with its mode and content, except what comes and goes with processes.
func (f *fakeMachine) tree() string {
	f.t.Helper()
	var b strings.Builder
	f.must(filepath.WalkDir(f.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains([]string{f.path("/proc"), f.path("/run"), f.path("/var/log")}, path) {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
		}
		fmt.Fprintf(&b, "%s %s %q\n", strings.TrimPrefix(path, f.root), info.Mode(), content)
		return err
	}))
	return b.String()
}

// errWaitsForEver is in place of a command that would.
var errWaitsForEver = errors.New("systemctl waits until the service says that it is ready")

// lines collects what is reported.
type lines []string

func (l *lines) report(format string, args ...any) { *l = append(*l, fmt.Sprintf(format, args...)) }

func (l *lines) String() string { return strings.Join(*l, "\n") }

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hintOf returns an error's hint.
func hintOf(err error) string {
	var knows interface{ Hint() string }
	if errors.As(err, &knows) {
		return knows.Hint() + "; "
	}
	return ""
}
