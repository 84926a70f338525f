package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/jsonedit"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// daemonJSON is the step that configures Docker Engine: ndock's runtime is known, servers run on while the engine restarts,
// the host's network is left to Neutron. It adds these settings to the operator's daemon.json; what is set there stays.
type daemonJSON struct {
	Machine
	engine *engine
	agent  *agent
	did    system.Changes  // of this run
	was    system.Snapshot // the file before this run
	ran    bool            // the engine ran then
	wanted dockerd.Wanted  // settings that the engine has got in this run
}

func (d *daemonJSON) Title() string { return "daemon.json" }

func (d *daemonJSON) path() string { return d.Layout.Path(dockerd.File) }

// editor returns how ndock's runtime is written: as the small program, where this ndock has it.
func (d *daemonJSON) editor() dockerd.Editor {
	small, whole := dockerd.SmallRuntime(d.Layout.Runtime), dockerd.WholeRuntime(d.Layout.AgentFile)
	if d.Runtime == nil {
		return dockerd.Editor{Runtime: whole, Other: small}
	}
	return dockerd.Editor{Runtime: small, Other: whole}
}

// hasRuntime tells whether the engine has ndock's runtime. One that was set up by another build of ndock has it in another
// way, and keeps it while containers run: what holds a container calls the runtime by the path of its start until it has
// ended, and that may be a script that the engine makes of the path and the arguments, and removes with them.
func (d *daemonJSON) hasRuntime(there dockerd.Settings, info EngineInfo) bool {
	program, known := info.Runtimes[dockerd.RuntimeName]
	if d.editor().HasOther(there) && known && info.Running > 0 {
		return true
	}
	return d.editor().HasRuntime(there) && program == d.runtimeProgram()
}

func (d *daemonJSON) Plan(ctx context.Context) ([]string, error) {
	now, err := system.Inspect(d.path())
	if err != nil {
		return nil, err
	}
	wanted, err := d.missing(ctx, now)
	if err == nil {
		err = d.checkFeasible(ctx, now, wanted)
	}
	var plan []string
	if wanted.LiveRestore {
		plan = append(plan, "set live-restore = true in "+d.path())
	}
	if wanted.Runtime {
		plan = append(plan, d.runtimePlan(now))
	}
	if wanted.NoNetwork {
		plan = append(plan, "have Docker Engine make no bridge and no firewall rules, in "+d.path())
	}
	if wanted.Logs {
		plan = append(plan, "have what containers say kept to 30 MB each, in "+d.path())
	}
	if wanted.Userns {
		plan = append(plan, "have root in containers be nobody on this host (userns-remap), in "+d.path())
	}
	if wanted.Restart {
		plan = append(plan, "restart Docker Engine (service "+d.Layout.Engine.Service.Name+")")
	}
	return plan, err
}

func (d *daemonJSON) runtimePlan(now system.Snapshot) string {
	if there, err := dockerd.Parse(now.Content); err == nil && d.editor().HasOther(there) {
		return "have runtime " + dockerd.RuntimeName + " be " + d.runtimeProgram() + ", in " + d.path()
	}
	return "add runtime " + dockerd.RuntimeName + " to " + d.path()
}

// Do records the file as it is, edits it, and has the engine read it, which stops no container.
func (d *daemonJSON) Do(ctx context.Context) error {
	now, err := system.Inspect(d.path())
	if err != nil {
		return err
	}
	wanted, err := d.missing(ctx, now)
	if err != nil {
		return err
	}
	if pid, err := d.Services.PID(ctx, d.Layout.Engine.Service); err == nil {
		d.ran = pid != 0
	}
	d.was, d.wanted = now, dockerd.Wanted{LiveRestore: wanted.LiveRestore} // so much the engine reads without a restart
	d.agent.runtimeSet = wanted.Runtime
	if err := d.write(now, wanted); err != nil {
		return err
	}
	d.agent.runtimeReplaced = wanted.Runtime && d.replacesOther(now)
	if wanted.LiveRestore || wanted.Runtime {
		err = d.reload(ctx, func(info EngineInfo) bool {
			return (!wanted.Runtime || info.Runtimes[dockerd.RuntimeName] == d.runtimeProgram()) && (info.LiveRestore || !wanted.LiveRestore)
		})
	}
	if err != nil {
		return err
	}
	if d.wanted.NoNetwork, d.wanted.Userns = wanted.NoNetwork, wanted.Userns; wanted.Restart {
		return d.restart(ctx)
	}
	return nil
}

// edited returns the file's content with the wanted settings. If nobody but setup has edited the file, ours is true, and the
// settings are added to what the file was before the first setup.
func (d *daemonJSON) edited(now system.Snapshot, wanted dockerd.Wanted) (content []byte, ours bool, err error) {
	was, err := d.history(now)
	if err != nil {
		return nil, false, err
	}
	base := now.Content
	if was.ours {
		base = was.saved.Content
	}
	if was.ours && was.meanwhile == nil {
		wanted = was.made.And(wanted)
	}
	if content, err = d.editor().Make(base, wanted); err != nil {
		err = fmt.Errorf("edit %s: %w", d.path(), err)
	}
	return content, was.ours, err
}

// Edits adds the settings that are missing.
func (d *daemonJSON) Edits(ctx context.Context) ([]system.Edit, error) {
	now, err := system.Inspect(d.path())
	if err != nil {
		return nil, err
	}
	wanted, err := d.missing(ctx, now)
	if err != nil {
		return nil, err
	}
	content, _, err := d.edited(now, wanted)
	return system.EditsOf(d.path(), now.Content, content), err
}

// write edits the file, and records the original where it is the operator's. One that has ndock's runtime is not: an earlier
// setup has edited it.
func (d *daemonJSON) write(now system.Snapshot, wanted dockerd.Wanted) error {
	content, ours, err := d.edited(now, wanted)
	if err != nil || bytes.Equal(content, now.Content) {
		return err
	}
	there, err := dockerd.Parse(now.Content)
	if err != nil {
		return err
	}
	switch {
	case ours || d.editor().HasOurs(there):
	case now.Missing: // what was kept of it is of a file that somebody has removed since
		err = d.record().ForgetIn(&d.did, dockerd.File)
	default:
		err = d.record().Keep(&d.did, dockerd.File)
	}
	if err != nil {
		return err
	}
	if err := d.did.Apply(system.Edit{Path: d.path(), Before: now.Content, After: content}); err != nil {
		return err
	}
	return d.setMeanwhile(nil)
}

func (d *daemonJSON) Detail(ctx context.Context) (string, error) {
	info, err := d.EngineInfo(ctx)
	if err != nil {
		return "", err
	}
	return d.restartDetail(info) + "; " + d.networkDetail(ctx, info) + d.runtimeDetail(), nil
}

// runtimeDetail says where servers start slower than they could.
func (d *daemonJSON) runtimeDetail() string {
	now, _ := system.Inspect(d.path()) // an error of it is Plan's
	there, err := dockerd.Parse(now.Content)
	if err != nil || d.Runtime == nil || !d.editor().HasOther(there) {
		return ""
	}
	return "; servers are started by ndock itself, as by the release before: run setup once while no container runs, and they start quicker"
}

func (d *daemonJSON) restartDetail(info EngineInfo) string {
	switch {
	case info.LiveRestore:
		return "servers run on while Docker Engine is restarted"
	case info.Swarm:
		return "the engine is in a swarm, which has no live-restore: servers stop when Docker Engine is restarted"
	}
	return "live-restore is off: servers stop when Docker Engine is restarted (" + d.path() + " has been decided on by hand)"
}

func (d *daemonJSON) networkDetail(ctx context.Context, info EngineInfo) string {
	now, _ := system.Inspect(d.path()) // an error of it is Plan's
	switch there, _ := d.decided(ctx, now.Content); {
	case len(info.Networked) > 0:
		return "Docker Engine keeps its bridge and its firewall, which are used by " + strings.Join(info.Networked, ", ")
	case info.Swarm:
		return "Docker Engine keeps its bridge and its firewall, for the swarm"
	case info.Bridge && there.NoNetwork():
		return "Docker Engine makes no firewall rules, and no bridge once it starts while no container runs"
	case d.isKollas(info):
		return "Docker Engine makes no bridge, as Kolla has it"
	case there.NetworkUndecided():
		return "Docker Engine keeps its bridge and its firewall: setup can change that once live-restore is on, or no container runs"
	case !there.NoNetwork():
		return "Docker Engine makes a bridge or firewall rules (decided on by hand, in " + d.path() + " or by a flag)"
	}
	return "Docker Engine makes no bridge and no firewall rules"
}

// Rollback puts daemon.json back as this run found it.
func (d *daemonJSON) Rollback(ctx context.Context) ([]string, error) {
	if !d.did.Any() {
		return nil, nil
	}
	var err error
	if d.did.HasFiles() { // else the engine is as it was
		err = d.revertEngine(ctx, d.was, d.wanted)
	}
	return []string{"put back " + d.path() + " as it was"}, errors.Join(err, d.did.Rollback(), d.callOther(ctx))
}

// replacesOther tells whether a file has the runtime as another build of ndock makes it.
func (d *daemonJSON) replacesOther(file system.Snapshot) bool {
	there, err := dockerd.Parse(file.Content)
	return err == nil && d.editor().HasOther(there)
}

// callOther has the engine call the program of before again, where that is another: this run's is about to be removed.
func (d *daemonJSON) callOther(ctx context.Context) error {
	if !d.replacesOther(d.was) {
		return nil
	}
	return d.reload(ctx, func(info EngineInfo) bool { return info.Runtimes[dockerd.RuntimeName] != d.runtimeProgram() })
}

// Teardown puts daemon.json back as it was before setup, unless it has been edited since.
func (d *daemonJSON) Teardown(ctx context.Context) ([]string, error) {
	now, err := system.Inspect(d.path())
	if err != nil {
		return nil, err
	}
	there, err := dockerd.Parse(now.Content)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.path(), err)
	}
	was, err := d.history(now)
	switch {
	case err != nil:
		return nil, err
	case !was.ours && now.Missing:
		return nil, d.setMeanwhile(nil)
	case !was.ours && (was.isBack(now) || was.saved.Missing && !d.editor().HasOurs(there)):
		return nil, d.forget()
	case !was.ours:
		return []string{"left " + d.path() + " as it is: it was edited since, and has settings of setup's"}, nil
	}
	if info, err := d.EngineInfo(ctx); was.made.Userns && (err != nil || info.Containers+info.Images > 0) {
		return []string{"left " + d.path() + " as it is: without userns-remap the engine would not find the containers and images that it has"}, nil
	}
	was.saved.Path = now.Path
	if err := d.revertEngine(ctx, was.saved, was.made); err != nil {
		return nil, err
	}
	return d.restore(was.saved)
}

func (d *daemonJSON) restore(saved system.Snapshot) ([]string, error) {
	if err := saved.Restore(); err != nil {
		return nil, err
	}
	if saved.Missing {
		return []string{"removed " + d.path()}, d.forget()
	}
	return []string{"put back " + d.path() + " as it was"}, d.forget()
}

// revertEngine has the engine be as it was before the settings were made, while containers run on. The engine keeps a
// setting that is only missing from its file, so live-restore is set to its value of before first. The runtime, which nothing
// uses any more, the engine may keep until it is restarted.
func (d *daemonJSON) revertEngine(ctx context.Context, was system.Snapshot, made dockerd.Wanted) error {
	there, err := dockerd.Parse(was.Content)
	if err != nil {
		return err
	}
	switchable := made.LiveRestore || there.LiveRestore != nil // and not given as a flag
	restart := made.NoNetwork || made.Userns || made.Restart
	if restart {
		if err := d.restartAs(ctx, was, switchable); err != nil {
			return err
		}
	}
	if made.LiveRestore || restart && switchable {
		return d.switchLiveRestore(ctx, was, there.LiveRestore != nil && *there.LiveRestore, false)
	}
	return nil
}

// restartAs restarts the engine with a file, and with live-restore where that can be switched on for it.
func (d *daemonJSON) restartAs(ctx context.Context, was system.Snapshot, switchable bool) error {
	if switchable {
		if err := d.switchLiveRestore(ctx, was, true, true); err != nil {
			return err
		}
		return d.restart(ctx)
	}
	if err := d.setMeanwhile(&record.Meanwhile{Content: was.Content, Restart: true}); err != nil {
		return err
	}
	if err := was.Restore(); err != nil {
		return err
	}
	return d.restart(ctx)
}

// switchLiveRestore sets live-restore in a file and waits until the engine has it. The file is recorded first, with whether
// the engine is to be restarted then: who is killed meanwhile leaves one that is neither setup's nor the operator's.
func (d *daemonJSON) switchLiveRestore(ctx context.Context, file system.Snapshot, on, restart bool) error {
	var err error
	if file.Content, err = jsonedit.Set(file.Content, strconv.FormatBool(on), "live-restore"); err != nil {
		return err
	}
	if file.Missing {
		file.Mode = 0o644
	}
	if err := d.setMeanwhile(&record.Meanwhile{Content: file.Content, LiveRestore: true, Restart: restart}); err != nil {
		return err
	}
	if err := file.Write(); err != nil {
		return err
	}
	return d.reload(ctx, func(info EngineInfo) bool { return info.LiveRestore == on })
}
