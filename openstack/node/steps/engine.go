package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// installLimit is how long the package manager may take.
const installLimit = 15 * time.Minute

// engine is the step that installs and starts Docker Engine.
type engine struct {
	Machine
	installed bool // in this run
}

// isFresh tells whether the engine can be given userns-remap: setup installed it, it has no containers or images that would
// be lost by that, and this kernel gives out user namespaces.
func (e *engine) isFresh(info EngineInfo) bool {
	return !e.withoutUserNamespaces() && (!e.Layout.HasEngine() || e.isOurs()) && info.Containers+info.Images == 0
}

// withoutUserNamespaces tells whether this kernel gives out none: RHEL 7's does not, nor do hardened hosts.
func (e *engine) withoutUserNamespaces() bool {
	most, err := os.ReadFile(e.Layout.Path("/proc/sys/user/max_user_namespaces"))
	return err == nil && strings.TrimSpace(string(most)) == "0"
}

// sharesRun tells whether mounts that a process makes in /run appear on the host, though it has mounts of its own.
func (e *engine) sharesRun(pid int) bool {
	own, hosts := e.peersOfRun(pid), e.peersOfRun(1)
	return own != "" && own == hosts
}

// peersOfRun returns the peer group of the mount of /run, as a process sees it; empty where it is in none.
func (e *engine) peersOfRun(pid int) string {
	mounts, err := os.ReadFile(e.Layout.Path(fmt.Sprintf("/proc/%d/mountinfo", pid)))
	if err != nil {
		return ""
	}
	peers, covers := "", ""
	for line := range strings.Lines(string(mounts)) { // see proc(5); a later mount covers earlier ones
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[4] != "/" && fields[4] != "/run" || len(fields[4]) < len(covers) {
			continue
		}
		peers, covers = "", fields[4]
		for _, field := range fields[6:] {
			if field == "-" {
				break
			}
			if strings.HasPrefix(field, "shared:") {
				peers = field
			}
		}
	}
	return peers
}

// isOurs tells whether setup installed the engine, in this run or an earlier one.
func (e *engine) isOurs() bool {
	r, err := e.record().Read()
	return err == nil && r.Engine != ""
}

func (e *engine) Title() string { return "engine" }

func (e *engine) Plan(ctx context.Context) ([]string, error) {
	info, err := e.EngineInfo(ctx)
	switch {
	case err == nil && tooOld(info.Version):
		return nil, system.Advise(fmt.Errorf("version %s of Docker Engine is too old: 20.10 is the oldest that servers are right on", info.Version), "upgrade it, then run this again")
	case err == nil:
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, system.Advise(err, "run this as root")
	case e.Layout.HasEngine():
		if err := e.checkHosts(ctx); err != nil {
			return nil, err
		}
		return []string{"start Docker Engine (service " + e.Layout.Engine.Service.Name + ")"}, nil
	}
	return []string{
		"install Docker Engine (package " + e.Layout.Engine.Name + ")",
		"start Docker Engine (service " + e.Layout.Engine.Service.Name + ")",
	}, nil
}

// checkHosts returns an error where it is no use to start the engine: it is configured to listen on other sockets only, or in
// two ways, with which it does not start.
func (e *engine) checkHosts(ctx context.Context) error {
	conf, err := system.Inspect(e.Layout.Path(dockerd.File))
	if err != nil {
		return err
	}
	flags, err := e.engineFlags(ctx)
	if err != nil {
		return err
	}
	there, _ := dockerd.Parse(conf.Content) // an error of it is one of step daemon.json
	told := flags.Values("host")
	if len(there.Hosts) > 0 && len(told) > 0 {
		return system.Advise(fmt.Errorf("start Docker Engine: it is told where to listen by hosts in %s and -H in its command line, and does not start with both", e.Layout.Path(dockerd.File)),
			"keep one of them, which has to name unix:///run/docker.sock or fd://")
	}
	hosts := append(there.Hosts, told...)
	if len(hosts) == 0 || slices.ContainsFunc(hosts, dockerd.IsUsualSocket) {
		return nil
	}
	return system.Advise(fmt.Errorf("nothing answers on /run/docker.sock: Docker Engine is told to listen on %s", strings.Join(hosts, ", ")),
		"have it listen on unix:///run/docker.sock too: by hosts in %s, or -H in the command line of service %s", e.Layout.Path(dockerd.File), e.Layout.Engine.Service.Name)
}

// engineFlags returns the flags that the engine runs with, and those that a restart would give it: the operator may have
// edited its unit.
func (m Machine) engineFlags(ctx context.Context) (dockerd.Flags, error) {
	service := m.Layout.Engine.Service
	pid, err := m.Services.PID(ctx, service)
	if err != nil {
		return nil, err
	}
	next, err := m.Services.Arguments(ctx, service)
	if err != nil || pid == 0 {
		return next, err
	}
	line, err := os.ReadFile(m.Layout.Path(fmt.Sprintf("/proc/%d/cmdline", pid)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it has ended
		return nil, fmt.Errorf("read the command line of Docker Engine: %w", err)
	}
	return append(strings.Split(string(line), "\x00"), next...), nil
}

// tooOld tells whether a version is older than 20.10.
func tooOld(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major < 20 || major == 20 && minor < 10)
}

func (e *engine) Do(ctx context.Context) error {
	if !e.Layout.HasEngine() {
		if err := e.install(ctx); err != nil {
			return err
		}
	}
	service := e.Layout.Engine.Service
	if err := e.Services.Start(ctx, service); err != nil {
		return err
	}
	err := system.Await(ctx, e.Timeouts.Poll, e.Timeouts.Engine, func(ctx context.Context) error {
		_, err := e.EngineInfo(ctx)
		return err
	})
	if err != nil {
		return system.Advise(fmt.Errorf("wait for Docker Engine: %w", err), "see what it says: %s", e.Services.ReadLog(service))
	}
	return nil
}

func (e *engine) install(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	if err := e.record().Amend(func(r *record.Record) { r.Engine = e.Layout.Engine.Name }); err != nil { // before: a setup may be killed meanwhile
		return err
	}
	_, err := e.Commands.Run(ctx, e.Layout.Engine.Install...)
	if refresh := e.Layout.Engine.Refresh; err != nil && len(refresh) > 0 && isStale(err) {
		if _, err = e.Commands.Run(ctx, refresh...); err == nil {
			_, err = e.Commands.Run(ctx, e.Layout.Engine.Install...)
		}
	}
	if err != nil {
		err = errors.Join(err, e.record().Amend(func(r *record.Record) { r.Engine = "" }))
		return system.Advise(fmt.Errorf("install %s: %w", e.Layout.Engine.Name, err), "install Docker Engine yourself (not every distribution has it; Docker's own packages serve as well), then run this again")
	}
	e.installed = true
	return nil
}

// isStale tells whether a package was not found because the lists of packages are missing or old.
func isStale(err error) bool {
	return slices.ContainsFunc([]string{"Unable to locate package", "no installation candidate", "Failed to fetch"}, func(text string) bool {
		return strings.Contains(err.Error(), text)
	})
}

// Rollback leaves the engine installed, and recorded as setup's own.
func (e *engine) Rollback(context.Context) ([]string, error) {
	if !e.installed {
		return nil, nil
	}
	return []string{"left Docker Engine (package " + e.Layout.Engine.Name + ") installed"}, nil
}

// Teardown leaves the engine installed: other containers may run on it.
func (e *engine) Teardown(context.Context) ([]string, error) {
	if !e.isOurs() {
		return nil, nil
	}
	return nil, e.record().Amend(func(r *record.Record) { r.Engine = "" })
}

func (e *engine) Detail(ctx context.Context) (string, error) {
	info, err := e.EngineInfo(ctx)
	if err != nil {
		return "", err
	}
	return strings.Join(slices.Concat([]string{fmt.Sprintf("Docker Engine %s answers", info.Version)}, info.walls(), info.warnings(), e.unconfined(info), e.parserWarning(info), e.ownMounts(ctx)), "; "), nil
}

// unconfined warns of an engine whose containers no security module of the kernel confines. On a host with SELinux Docker Engine has
// to be told.
func (e *engine) unconfined(info EngineInfo) []string {
	switch {
	case slices.Contains(info.Security, "apparmor") || slices.Contains(info.Security, "selinux"):
		return nil
	case e.hasSELinux():
		return []string{"warning: SELinux does not confine containers (no selinux-enabled in daemon.json)"}
	}
	return []string{"warning: neither AppArmor nor SELinux confines containers"}
}

// parserWarning warns of an engine that cannot load its AppArmor profile: Docker's package only recommends the parser.
func (e *engine) parserWarning(info EngineInfo) []string {
	if !slices.Contains(info.Security, "apparmor") || e.Layout.Exists("/sbin/apparmor_parser", "/usr/sbin/apparmor_parser") {
		return nil
	}
	return []string{"warning: AppArmor is on, and apparmor_parser is not installed: no server starts (package apparmor)"}
}

// ownMounts warns of an engine, or of its containerd, with mounts of its own: there runc's hooks mount servers' network
// namespaces for the agent, which does not see them.
func (e *engine) ownMounts(ctx context.Context) []string {
	hosts, err := os.Readlink(e.Layout.Path("/proc/1/ns/mnt"))
	if err != nil { // only root may ask
		return nil
	}
	var all []string
	for _, service := range []system.Service{e.Layout.Engine.Service, {Name: "containerd", PIDFile: "/run/containerd/containerd.pid"}} {
		pid, err := e.Services.PID(ctx, service)
		if err != nil || pid == 0 {
			continue
		}
		if own, err := os.Readlink(e.Layout.Path(fmt.Sprintf("/proc/%d/ns/mnt", pid))); err == nil && own != hosts && !e.sharesRun(pid) {
			all = append(all, "warning: "+service.Name+" has mounts of its own (PrivateTmp=, PrivateMounts=, LogNamespace= or MountFlags= of its unit): "+
				"servers cannot be paused, nor get ports while they run")
		}
	}
	return all
}

// walls returns what stands between all servers and the host beside namespaces and seccomp.
func (i EngineInfo) walls() []string {
	var all []string
	for _, wall := range []struct{ option, name string }{
		{"apparmor", "AppArmor"}, {"selinux", "SELinux"}, {"userns", "one range of users for all of them (userns-remap)"},
	} {
		if slices.Contains(i.Security, wall.option) {
			all = append(all, wall.name)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return []string{"servers are confined by " + strings.Join(all, " and ")}
}

// warnings returns what makes this engine confine containers less than it could.
func (i EngineInfo) warnings() []string {
	var all []string
	if i.Runc != "" {
		all = append(all, runcWarnings(i.Runc)...)
	}
	if !slices.Contains(i.Security, "userns") {
		all = append(all, "warning: root in a container is root on the host (no userns-remap in daemon.json)")
	}
	return all
}

// runcWarnings goes by the version only. Distributions correct faults without a new version.
func runcWarnings(version string) []string {
	var major, minor, patch int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d.%d", &major, &minor, &patch); err != nil {
		return nil
	}
	var faults []string
	is := func(than ...int) bool { return slices.Compare([]int{major, minor, patch}, than) < 0 }
	if is(1, 1, 12) {
		faults = append(faults, "CVE-2024-21626")
	}
	if is(1, 2, 8) || is(1, 3, 3) && !is(1, 3, 0) {
		faults = append(faults, "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881")
	}
	if len(faults) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("warning: runc has faults by which containers break out, as its version %s says (%s): upgrade it, unless its package has the corrections", version, strings.Join(faults, ", "))}
}
