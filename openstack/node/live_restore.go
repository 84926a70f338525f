package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// liveRestore is the step that has servers run on while Docker Engine is restarted or upgraded. It adds one setting to
// the operator's daemon.json, and leaves one that he has made himself.
type liveRestore struct{ Machine }

const (
	liveRestoreOn  = `"live-restore": true`
	liveRestoreOff = `"live-restore": false`
	// daemonCreated is the whole of daemon.json where there was none.
	daemonCreated = "{\n  " + liveRestoreOn + "\n}\n"
)

func (l *liveRestore) Title() string { return "live-restore" }

func (l *liveRestore) path() string { return l.Layout.Path("/etc/docker/daemon.json") }

// saved is where the file's content from before setup is kept.
func (l *liveRestore) saved() string { return l.path() + ".ndock-saved" }

func (l *liveRestore) Plan(ctx context.Context) ([]string, error) {
	now, err := before(l.path())
	if err != nil {
		return nil, err
	}
	with, err := withLiveRestore(now.content)
	switch facts, asked := l.EngineFacts(ctx); {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", l.path(), err)
	case with == nil, asked == nil && (facts.LiveRestore || facts.Swarm):
		return nil, nil
	}
	return []string{"set live-restore = true in " + l.path()}, nil
}

// withLiveRestore puts the setting before all others, each of which stays as its author wrote it. It returns nil where
// the author has decided himself.
func withLiveRestore(content []byte) ([]byte, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return []byte(daemonCreated), nil
	}
	var settings map[string]json.RawMessage
	if err := json.Unmarshal(content, &settings); err != nil {
		return nil, err
	}
	if _, decided := settings["live-restore"]; decided {
		return nil, nil
	}
	if len(settings) == 0 {
		return []byte(daemonCreated), nil
	}
	return bytes.Replace(content, []byte("{"), []byte("{\n  "+liveRestoreOn+","), 1), nil
}

// Do keeps the file as it is now for Undo, edits it, and has the engine read it, which stops no container.
func (l *liveRestore) Do(ctx context.Context) error {
	now, err := before(l.path())
	if err != nil {
		return err
	}
	with, err := withLiveRestore(now.content)
	if err != nil {
		return err
	}
	var did changes
	if now.missing {
		err = did.write(l.path(), with, 0o644)
	} else if err = did.copy(l.path(), l.saved()); err == nil {
		err = did.edit(l.path(), with)
	}
	if err != nil {
		return errors.Join(err, did.takeBack())
	}
	return l.reload(ctx, true)
}

// reload has the engine read its file, and waits until it says that live-restore is on, or off.
func (l *liveRestore) reload(ctx context.Context, on bool) error {
	pid, err := l.Services.PID(ctx, l.Layout.Engine.Service)
	if err != nil || pid == 0 { // it reads the file when it starts
		return err
	}
	if _, err := control(ctx, l.Commands, "kill", "-HUP", strconv.Itoa(pid)); err != nil {
		return err
	}
	err = await(ctx, l.Patience.Poll, l.Patience.Engine, func(ctx context.Context) error {
		facts, err := l.EngineFacts(ctx)
		if err == nil && facts.LiveRestore != on {
			err = fmt.Errorf("its live-restore is still %t", facts.LiveRestore)
		}
		return err
	})
	if err != nil {
		return advise(fmt.Errorf("have Docker Engine read %s: %w", l.path(), err), "see what it says: %s; if it reads another file, set live-restore there yourself",
			l.Services.ReadLog(l.Layout.Engine.Service))
	}
	return nil
}

func (l *liveRestore) Detail(ctx context.Context) string {
	switch facts, err := l.EngineFacts(ctx); {
	case err != nil:
		return err.Error()
	case facts.LiveRestore:
		return "servers run on while Docker Engine is restarted"
	case facts.Swarm:
		return "the engine is in a swarm, which cannot do it: servers stop when Docker Engine is restarted"
	}
	return "off: servers stop when Docker Engine is restarted (" + l.path() + " has been decided on by hand)"
}
