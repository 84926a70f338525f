package node

import (
	"bytes"
	"context"
	"encoding/json"
)

// Undo puts daemon.json back as it was: after Do, before this run; else before setup, unless it has been edited since.
func (d *daemonJSON) Undo(ctx context.Context) ([]string, error) {
	if d.did.any() {
		return d.revert(ctx)
	}
	now, err := before(d.path())
	if err != nil || now.missing {
		return nil, err
	}
	saved, err := before(d.saved())
	if err != nil {
		return nil, err
	}
	switch _, ours, err := d.madeOf(saved.content, now.content); {
	case err != nil:
		return nil, err
	case !ours && saved.missing:
		return nil, nil
	case !ours:
		return []string{"left " + d.path() + " as it is: it was edited since"}, nil
	}
	if !decided(saved.content) {
		if err := d.switchOff(ctx, now); err != nil {
			return nil, err
		}
	}
	saved.path = now.path
	if err := saved.restore(); err != nil {
		return nil, err
	}
	if saved.missing {
		return []string{"removed " + d.path()}, nil
	}
	var did changes
	return []string{"put back " + d.path() + " as it was"}, did.remove(d.saved())
}

// revert takes this run's changes back.
func (d *daemonJSON) revert(ctx context.Context) ([]string, error) {
	if d.wanted.liveRestore {
		now, err := before(d.path())
		if err == nil {
			err = d.switchOff(ctx, now)
		}
		if err != nil {
			return nil, err
		}
	}
	return []string{"put back " + d.path() + " as it was"}, d.did.takeBack()
}

// decided tells whether live-restore is set, either way.
func decided(content []byte) bool {
	var there map[string]json.RawMessage
	_ = json.Unmarshal(content, &there) // an empty file decides nothing
	return there["live-restore"] != nil
}

// madeOf tells whether setup's settings, and nothing else, make the one content of the other, and which they were: that
// depends on what the engine was like at that time.
func (d *daemonJSON) madeOf(saved, now []byte) (missing, bool, error) {
	for _, settings := range []missing{{true, true}, {false, true}, {true, false}} {
		made, err := d.with(saved, settings)
		if err != nil {
			return missing{}, false, err
		}
		if bytes.Equal(made, now) {
			return settings, true, nil
		}
	}
	return missing{}, false, nil
}

// switchOff tells the engine, which would keep to a setting that is merely gone from its file. A runtime that nobody
// names any more it may keep until it is restarted.
func (d *daemonJSON) switchOff(ctx context.Context, now snapshot) error {
	if !decided(now.content) {
		return nil
	}
	var err error
	if now.content, err = withSetting(now.content, "false", "live-restore"); err != nil {
		return err
	}
	if err := now.put(); err != nil {
		return err
	}
	return d.reload(ctx, func(facts EngineFacts) bool { return !facts.LiveRestore })
}
