package steps

import (
	"bytes"
	"context"
	_ "embed" // the files of the service
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

//go:embed service/ndock-agent.service
var agentUnit []byte

//go:embed service/ndock-agent.init
var agentScript []byte

//go:embed service/ndock-agent.logrotate
var agentRotation []byte

const agentName = "ndock-agent"

// agent is the step that has ndock's agent run as a service of this machine.
type agent struct {
	Machine
	did             system.Changes // of this run
	runtime         system.Changes // of this run, to the program that Docker Engine calls
	runtimeSet      bool           // this run has named the program in daemon.json
	runtimeReplaced bool           // which named another one before
	before          *agentState    // nil before Do has changed something
}

// agentState is how the service was found.
type agentState struct{ running, enabled bool }

func (a *agent) Title() string { return "agent" }

func (a *agent) service() system.Service {
	return system.Service{Name: agentName, PIDFile: "/run/ndock/agent.pid", Log: "/var/log/ndock/agent.log"}
}

// daemon returns the files that make the agent a service of this machine. Where ndock is a package, its unit is the package's.
func (a *agent) daemon() []system.File {
	d := system.Daemon{Name: agentName, Rotation: agentRotation, Script: a.forUser(a.ofProgram(string(agentScript)))}
	if a.packaged() {
		d.DropIn = a.dropIn()
	} else {
		d.Unit = a.forUser(strings.Replace(string(agentUnit), "Before=nova-compute.service", "Before="+a.Layout.Compute.Name+".service", 1))
	}
	return a.Services.Files(d)
}

// forUser has the agent serve the user that nova-compute runs as.
func (a *agent) forUser(text string) []byte {
	if a.Layout.User == "nova" {
		return []byte(text)
	}
	return []byte(strings.Replace(text, "node agent", "node agent --user "+a.Layout.User, 1))
}

func (a *agent) files() ([]system.File, error) {
	program, err := os.ReadFile(a.Program)
	if err != nil {
		return nil, system.FileError("read", a.Program, err)
	}
	if a.packaged() {
		return a.daemon(), a.checkPackage(program)
	}
	files := []system.File{{Path: a.Layout.AgentFile, Content: program, Mode: 0o755}}
	if a.Runtime != nil {
		files = append(files, system.File{Path: a.Layout.Runtime, Content: a.Runtime, Mode: 0o755})
	}
	return append(files, a.daemon()...), nil
}

// missing returns the files that are not as they should be.
func (a *agent) missing() ([]system.File, error) {
	if err := system.CheckRoots(a.Layout.Path(a.Layout.Runtime)); err != nil { // Docker Engine and runc run it as root
		return nil, err
	}
	files, err := a.files()
	if err != nil {
		return nil, err
	}
	var missing []system.File
	for _, f := range files {
		ok, err := system.Holds(a.Layout.Path(f.Path), f.Content, f.Mode)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, f)
		}
	}
	if a.exists(a.Layout.AgentConf) { // it is the operator's
		return missing, nil
	}
	return append(missing, system.File{Path: a.Layout.AgentConf, Content: a.AgentConfig, Mode: 0o644}), nil
}

func (a *agent) Plan(ctx context.Context) ([]string, error) {
	missing, err := a.missing()
	if err != nil {
		return nil, err
	}
	var plan []string
	for _, f := range missing {
		plan = append(plan, "write "+a.Layout.Path(f.Path))
	}
	superseded := a.superseded()
	for _, path := range superseded {
		plan = append(plan, "remove "+a.Layout.Path(path)+", for the unit of ndock's package")
	}
	enabled, err := a.Services.Enabled(ctx, a.service())
	if err != nil {
		return nil, err
	}
	if !enabled {
		plan = append(plan, "have service "+agentName+" started at boot")
	}
	verb, err := a.restartVerb(ctx, len(missing)+len(superseded) > 0)
	if verb != "" {
		plan = append(plan, verb+" service "+agentName)
	}
	return plan, err
}

// restartVerb returns what has to be done to the service, an empty text where the agent that is installed runs already.
func (a *agent) restartVerb(ctx context.Context, changing bool) (string, error) {
	pid, err := a.Services.PID(ctx, a.service())
	if err != nil {
		return "", err
	}
	if pid == 0 {
		return "start", nil
	}
	old := changing
	if !old {
		files := []string{a.program(), a.Layout.AgentConf, selinuxFile} // it is in a domain from its start
		if daemon := a.daemon(); len(daemon) > 0 {
			files = append(files, daemon[0].Path)
		}
		if old, err = system.Outdated(a.Layout.Root, pid, files); err != nil {
			return "", err
		}
	}
	if _, err := a.AgentVersion(ctx); err != nil || old {
		return "restart", nil
	}
	return "", nil
}

func (a *agent) Detail(ctx context.Context) (string, error) {
	version, err := a.AgentVersion(ctx)
	if err != nil {
		return "", err
	}
	state, err := a.AgentState(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ndock's agent %s answers; %s", version, state), nil
}

// Do writes what is missing, and restarts the agent.
func (a *agent) Do(ctx context.Context) error {
	missing, err := a.missing()
	if err != nil {
		return err
	}
	if a.before, err = a.state(ctx); err != nil {
		return err
	}
	if err := a.supersede(ctx); err != nil {
		return err
	}
	if err := a.install(missing); err != nil {
		return err
	}
	if err := a.Services.Enable(ctx, a.service()); err != nil {
		return err
	}
	if err := a.Services.Restart(ctx, a.service()); err != nil {
		return err
	}
	return a.waitForAnswer(ctx)
}

func (a *agent) state(ctx context.Context) (*agentState, error) {
	pid, err := a.Services.PID(ctx, a.service())
	if err != nil {
		return nil, err
	}
	enabled, err := a.Services.Enabled(ctx, a.service())
	return &agentState{running: pid != 0, enabled: enabled}, err
}

func (a *agent) install(missing []system.File) error {
	for _, f := range missing {
		did := &a.did
		if f.Path == a.runtimeProgram() {
			did = &a.runtime
		}
		if err := errors.Join(a.claimPrograms(did, f.Path), a.claimConfig(did, f)); err != nil {
			return err
		}
		if err := did.Write(a.Layout.Path(f.Path), f.Content, f.Mode); err != nil {
			return err
		}
	}
	return nil
}

// claimConfig records what setup writes into the operator's file, by which teardown knows whether that was edited.
func (a *agent) claimConfig(did *system.Changes, file system.File) error {
	if file.Path != a.Layout.AgentConf {
		return nil
	}
	return a.record().AmendIn(did, func(r *record.Record) { r.Config = record.Sum(file.Content) }, func(r *record.Record) { r.Config = "" })
}

// isConfigUnchanged tells whether the operator's file is as setup wrote it. What earlier releases wrote is not recorded.
func (a *agent) isConfigUnchanged() bool {
	now, err := system.ReadFile(a.Layout.Path(a.Layout.AgentConf))
	if err != nil {
		return false
	}
	r, err := a.record().Read()
	return err == nil && r.Config == record.Sum(now) || bytes.Equal(now, a.AgentConfig)
}

// claimPrograms records of a program that it was not there before: only then teardown removes it.
func (a *agent) claimPrograms(did *system.Changes, path string) error {
	if path != a.Layout.AgentFile && path != a.Layout.Runtime || a.exists(path) {
		return nil
	}
	set := func(to string) func(r *record.Record) {
		if path == a.Layout.Runtime {
			return func(r *record.Record) { r.Runtime = to }
		}
		return func(r *record.Record) { r.Program = to }
	}
	return a.record().AmendIn(did, set(path), set(""))
}

// Where the agent keeps files of servers, what it has found in layers, and which runtimes containers have; and where its unit's
// drop-ins are.
const (
	serversDir  = "/var/lib/ndock/servers"
	layersDir   = "/var/lib/ndock/layers"
	runtimesDir = "/var/lib/ndock/runtimes"
	dropInDir   = "/etc/systemd/system/" + agentName + ".service.d"
)

// waitForAnswer waits until the agent answers on its socket.
func (a *agent) waitForAnswer(ctx context.Context) error {
	err := system.Await(ctx, a.Timeouts.Poll, a.Timeouts.Agent, func(ctx context.Context) error {
		_, err := a.AgentVersion(ctx)
		return err
	})
	if err != nil {
		return system.Advise(fmt.Errorf("wait for ndock's agent: %w", err), "see what it says: %s", a.Services.ReadLog(a.service()))
	}
	return nil
}

func (a *agent) exists(path string) bool {
	_, err := os.Stat(a.Layout.Path(path))
	return !errors.Is(err, fs.ErrNotExist)
}

// stop stops or disables the service, or both, where there is one.
func (a *agent) stop(ctx context.Context, stop, disable bool) error {
	if !a.isService() {
		return nil
	}
	var failed []error
	if stop {
		failed = append(failed, a.Services.Stop(ctx, a.service()))
	}
	if disable {
		failed = append(failed, a.Services.Disable(ctx, a.service()))
	}
	return errors.Join(failed...)
}

// Rollback restores the earlier agent, and restarts it if it ran.
func (a *agent) Rollback(ctx context.Context) ([]string, error) {
	if a.before == nil { // nothing was done yet
		return nil, nil
	}
	failed := []error{
		a.stop(ctx, !a.before.running, !a.before.enabled),
		a.did.Rollback(),
		a.Services.Forget(ctx, a.service()),
		a.enableAgain(ctx),
	}
	texts, err := a.rollbackRuntime(ctx)
	failed = append(failed, err)
	if a.before.running {
		failed = append(failed, a.Services.Restart(ctx, a.service()))
		return append(texts, "the agent of before runs again"), errors.Join(failed...)
	}
	return append(texts, "stopped service "+agentName+" and removed what was written"), errors.Join(failed...)
}

// enableAgain has the service of before started at boot, where that was taken from it.
func (a *agent) enableAgain(ctx context.Context) error {
	if !a.before.enabled {
		return nil
	}
	if enabled, err := a.Services.Enabled(ctx, a.service()); err != nil || enabled {
		return err
	}
	return a.Services.Enable(ctx, a.service())
}

// rollbackRuntime restores the program that the engine calls. One that was not there before stays where servers were started
// with it meanwhile, and where the engine goes on calling it. Teardown removes it.
func (a *agent) rollbackRuntime(ctx context.Context) ([]string, error) {
	if !a.runtimeSet || !a.runtime.HasMade() {
		return nil, a.runtime.Rollback()
	}
	program := a.runtimeProgram()
	why := a.need(ctx, program)
	if info, err := a.EngineInfo(ctx); why == "" && a.runtimeReplaced && err == nil && info.Runtimes[dockerd.RuntimeName] == program {
		why = "which Docker Engine still calls"
	}
	if why == "" {
		return nil, a.runtime.Rollback()
	}
	return []string{"left " + a.Layout.Path(program) + ", " + why}, nil
}
