package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// daemonJSON is the step that has Docker Engine run servers by ndock's runtime, and has them run on while the engine is
// restarted or upgraded. It adds these settings to the operator's daemon.json; live-restore it leaves as he has made it.
type daemonJSON struct {
	Machine
	did    changes // of this run
	wanted missing // at the beginning of it
}

const runtimeName = "ndock"

func (d *daemonJSON) Title() string { return "daemon.json" }

func (d *daemonJSON) path() string { return d.Layout.Path("/etc/docker/daemon.json") }

// saved is where the file's content from before setup is kept.
func (d *daemonJSON) saved() string { return d.path() + ".ndock-saved" }

// runtime is how the engine is to call the program that is installed.
func (d *daemonJSON) runtime() string {
	return fmt.Sprintf(`{"path": %q, "runtimeArgs": ["node", "runtime"]}`, d.Layout.AgentFile)
}

// missing says which of the settings are to be made.
type missing struct{ liveRestore, runtime bool }

func (d *daemonJSON) missing(ctx context.Context, content []byte) (missing, error) {
	var there struct {
		LiveRestore *bool                      `json:"live-restore"`
		Runtimes    map[string]json.RawMessage `json:"runtimes"`
	}
	if len(bytes.TrimSpace(content)) > 0 {
		if err := json.Unmarshal(content, &there); err != nil {
			return missing{}, fmt.Errorf("read %s: %w", d.path(), err)
		}
	}
	facts, asked := d.EngineFacts(ctx)
	return missing{
		liveRestore: there.LiveRestore == nil && (asked != nil || !facts.LiveRestore && !facts.Swarm),
		runtime:     !sameJSON(there.Runtimes[runtimeName], d.runtime()) || asked == nil && !slices.Contains(facts.Runtimes, runtimeName),
	}, nil
}

// sameJSON compares, whatever the blanks.
func sameJSON(one json.RawMessage, other string) bool {
	var a, b bytes.Buffer
	return json.Compact(&a, one) == nil && json.Compact(&b, []byte(other)) == nil && a.String() == b.String()
}

func (d *daemonJSON) Plan(ctx context.Context) ([]string, error) {
	now, err := before(d.path())
	if err != nil {
		return nil, err
	}
	wanted, err := d.missing(ctx, now.content)
	var plan []string
	if wanted.liveRestore {
		plan = append(plan, "set live-restore = true in "+d.path())
	}
	if wanted.runtime {
		plan = append(plan, "add runtime "+runtimeName+" to "+d.path())
	}
	return plan, err
}

// with makes the settings that are wanted.
func (d *daemonJSON) with(content []byte, wanted missing) ([]byte, error) {
	var err error
	if wanted.runtime {
		if content, err = withSetting(content, d.runtime(), "runtimes", runtimeName); err != nil {
			return nil, err
		}
	}
	if wanted.liveRestore {
		content, err = withSetting(content, "true", "live-restore")
	}
	return content, err
}

// Do keeps the file as it is now for Undo, edits it, and has the engine read it, which stops no container.
func (d *daemonJSON) Do(ctx context.Context) error {
	now, err := before(d.path())
	if err != nil {
		return err
	}
	wanted, err := d.missing(ctx, now.content)
	if err != nil {
		return err
	}
	d.wanted = wanted
	if err := d.write(now, wanted); err != nil {
		return err
	}
	return d.reload(ctx, func(facts EngineFacts) bool {
		return slices.Contains(facts.Runtimes, runtimeName) && (facts.LiveRestore || !wanted.liveRestore)
	})
}

// write begins with what the file was before the first setup, if nobody else has edited it since.
func (d *daemonJSON) write(now snapshot, wanted missing) error {
	saved, err := before(d.saved())
	if err != nil {
		return err
	}
	made, ours, err := d.madeOf(saved.content, now.content)
	if err != nil {
		return err
	}
	base := now.content
	if ours {
		base, wanted = saved.content, missing{made.liveRestore || wanted.liveRestore, true}
	}
	edited, err := d.with(base, wanted)
	switch {
	case err != nil:
		return fmt.Errorf("edit %s: %w", d.path(), err)
	case now.missing:
		return d.did.write(d.path(), edited, 0o644)
	case !ours:
		err = d.did.copy(d.path(), d.saved())
	}
	return errors.Join(err, d.did.edit(d.path(), edited))
}

// reload has the engine read its file, and waits until it is as the file says.
func (d *daemonJSON) reload(ctx context.Context, done func(EngineFacts) bool) error {
	pid, err := d.Services.PID(ctx, d.Layout.Engine.Service)
	if err != nil || pid == 0 { // it reads the file when it starts
		return err
	}
	if _, err := control(ctx, d.Commands, "kill", "-HUP", strconv.Itoa(pid)); err != nil {
		return err
	}
	err = await(ctx, d.Patience.Poll, d.Patience.Engine, func(ctx context.Context) error {
		facts, err := d.EngineFacts(ctx)
		if err == nil && !done(facts) {
			err = fmt.Errorf("its live-restore is %t, its runtimes are %s", facts.LiveRestore, strings.Join(facts.Runtimes, ", "))
		}
		return err
	})
	if err != nil {
		return advise(fmt.Errorf("have Docker Engine read %s: %w", d.path(), err), "see what it says: %s; if it reads another file, make these settings there yourself",
			d.Services.ReadLog(d.Layout.Engine.Service))
	}
	return nil
}

func (d *daemonJSON) Detail(ctx context.Context) string {
	switch facts, err := d.EngineFacts(ctx); {
	case err != nil:
		return err.Error()
	case facts.LiveRestore:
		return "servers run on while Docker Engine is restarted"
	case facts.Swarm:
		return "the engine is in a swarm, which has no live-restore: servers stop when Docker Engine is restarted"
	}
	return "live-restore is off: servers stop when Docker Engine is restarted (" + d.path() + " has been decided on by hand)"
}
