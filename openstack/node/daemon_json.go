package node

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// daemonJSON is the step that has Docker Engine run servers by ndock's runtime, has them run on while the engine is
// restarted or upgraded, and has the engine leave the host's network to Neutron. It adds these settings to the operator's
// daemon.json; what he has decided there stays.
type daemonJSON struct {
	Machine
	engine *engine
	did    changes  // of this run
	was    snapshot // before it
	ran    bool     // the engine, then
	wanted missing  // in it
}

const runtimeName = "ndock"

func (d *daemonJSON) Title() string { return "daemon.json" }

// daemonFile is what Docker Engine reads when it starts.
const daemonFile = "/etc/docker/daemon.json"

func (d *daemonJSON) path() string { return d.Layout.Path(daemonFile) }

// runtime is how the engine is to call the program that is installed.
func (d *daemonJSON) runtime() string {
	return fmt.Sprintf(`{"path": %q, "runtimeArgs": ["node", "runtime"]}`, d.Layout.AgentFile)
}

func (d *daemonJSON) Plan(ctx context.Context) ([]string, error) {
	now, err := before(d.path())
	if err != nil {
		return nil, err
	}
	wanted, err := d.missing(ctx, now.content)
	if err == nil {
		err = d.feasible(ctx, now, wanted)
	}
	var plan []string
	if wanted.liveRestore {
		plan = append(plan, "set live-restore = true in "+d.path())
	}
	if wanted.runtime {
		plan = append(plan, "add runtime "+runtimeName+" to "+d.path())
	}
	if wanted.noNetwork {
		plan = append(plan, "have Docker Engine make no bridge and no firewall rules, in "+d.path())
	}
	if wanted.logs {
		plan = append(plan, "have what containers say kept to 30 MB each, in "+d.path())
	}
	if wanted.userns {
		plan = append(plan, "have root in containers be nobody on this host (userns-remap), in "+d.path())
	}
	if wanted.restart {
		plan = append(plan, "restart Docker Engine (service "+d.Layout.Engine.Service.Name+")")
	}
	return plan, err
}

// Do records the file as it is now, edits it, and has the engine read it, which stops no container.
func (d *daemonJSON) Do(ctx context.Context) error {
	now, err := before(d.path())
	if err != nil {
		return err
	}
	wanted, err := d.missing(ctx, now.content)
	if err != nil {
		return err
	}
	if pid, err := d.Services.PID(ctx, d.Layout.Engine.Service); err == nil {
		d.ran = pid != 0
	}
	d.was, d.wanted = now, missing{liveRestore: wanted.liveRestore} // as far as the engine has heard of it
	if err := d.write(now, wanted); err != nil {
		return err
	}
	if wanted.liveRestore || wanted.runtime {
		err = d.reload(ctx, func(facts EngineFacts) bool {
			return slices.Contains(facts.Runtimes, runtimeName) && (facts.LiveRestore || !wanted.liveRestore)
		})
	}
	if err != nil {
		return err
	}
	if d.wanted.noNetwork, d.wanted.userns = wanted.noNetwork, wanted.userns; wanted.restart {
		return d.restart(ctx)
	}
	return nil
}

// edited begins with what the file was before the first setup, if nobody else has edited it since.
func (d *daemonJSON) edited(now snapshot, wanted missing) (content []byte, ours bool, err error) {
	saved, err := d.record().Original(daemonFile)
	if err != nil {
		return nil, false, err
	}
	made, ours, err := d.madeOf(saved.content, now.content)
	if err != nil {
		return nil, false, err
	}
	base := now.content
	if ours {
		base, wanted = saved.content, made.and(wanted)
	}
	if content, err = d.with(base, wanted); err != nil {
		err = fmt.Errorf("edit %s: %w", d.path(), err)
	}
	return content, ours, err
}

// Edits adds the settings that are missing.
func (d *daemonJSON) Edits(ctx context.Context) ([]Edit, error) {
	now, err := before(d.path())
	if err != nil {
		return nil, err
	}
	wanted, err := d.missing(ctx, now.content)
	if err != nil {
		return nil, err
	}
	content, _, err := d.edited(now, wanted)
	return changing(Edit{d.path(), now.content, content}), err
}

func (d *daemonJSON) write(now snapshot, wanted missing) error {
	content, ours, err := d.edited(now, wanted)
	if err != nil || bytes.Equal(content, now.content) {
		return err
	}
	if !now.missing && !ours {
		if err := d.record().Keep(&d.did, daemonFile); err != nil {
			return err
		}
	}
	return d.did.make(Edit{d.path(), now.content, content})
}

func (d *daemonJSON) Detail(ctx context.Context) string {
	facts, err := d.EngineFacts(ctx)
	if err != nil {
		return err.Error()
	}
	return d.restartDetail(facts) + "; " + d.networkDetail(ctx, facts)
}

func (d *daemonJSON) restartDetail(facts EngineFacts) string {
	switch {
	case facts.LiveRestore:
		return "servers run on while Docker Engine is restarted"
	case facts.Swarm:
		return "the engine is in a swarm, which has no live-restore: servers stop when Docker Engine is restarted"
	}
	return "live-restore is off: servers stop when Docker Engine is restarted (" + d.path() + " has been decided on by hand)"
}

func (d *daemonJSON) networkDetail(ctx context.Context, facts EngineFacts) string {
	now, _ := before(d.path()) // what cannot be read has been told by Plan
	switch there, _ := d.decided(ctx, now.content); {
	case len(facts.Networked) > 0:
		return "Docker Engine keeps its bridge and its firewall, which are used by " + strings.Join(facts.Networked, ", ")
	case facts.Swarm:
		return "Docker Engine keeps its bridge and its firewall, for the swarm"
	case facts.Bridge && there.noNetwork():
		return "Docker Engine makes no firewall rules, and no bridge once it starts while no container runs"
	case d.done(facts):
		return "Docker Engine makes no bridge, as Kolla has it"
	case there.undecided():
		return "Docker Engine keeps its bridge and its firewall: setup can change that once live-restore is on, or no container runs"
	case !there.noNetwork():
		return "Docker Engine makes a bridge or firewall rules (decided on by hand, in " + d.path() + " or by a flag)"
	}
	return "Docker Engine makes no bridge and no firewall rules"
}
