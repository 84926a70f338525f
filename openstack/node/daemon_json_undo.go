package node

import (
	"bytes"
	"context"
	"errors"
	"strconv"
)

// Rollback puts daemon.json back as this run found it.
func (d *daemonJSON) Rollback(ctx context.Context) ([]string, error) {
	if !d.did.any() {
		return nil, nil
	}
	var err error
	if d.did.files() { // else the file was not written, and the engine has heard of nothing
		err = d.back(ctx, d.was, d.wanted)
	}
	return []string{"put back " + d.path() + " as it was"}, errors.Join(err, d.did.takeBack())
}

// Teardown puts daemon.json back as it was before setup, unless it has been edited since.
func (d *daemonJSON) Teardown(ctx context.Context) ([]string, error) {
	now, err := before(d.path())
	if err != nil || now.missing {
		return nil, err
	}
	saved, err := d.record().Original(daemonFile)
	if err != nil {
		return nil, err
	}
	made, ours, err := d.madeOf(saved.content, now.content)
	switch {
	case err != nil:
		return nil, err
	case !ours && saved.missing && !bytes.Contains(now.content, []byte(d.runtime())):
		return nil, nil
	case !ours:
		return []string{"left " + d.path() + " as it is: it was edited since, and has settings of setup's"}, nil
	}
	if facts, err := d.EngineFacts(ctx); made.userns && (err != nil || facts.Containers+facts.Images > 0) {
		return []string{"left " + d.path() + " as it is: without userns-remap the engine would not find the containers and images that it has"}, nil
	}
	saved.path = now.path
	if err := d.back(ctx, saved, made); err != nil {
		return nil, err
	}
	return d.restore(saved)
}

func (d *daemonJSON) restore(saved snapshot) ([]string, error) {
	if err := saved.restore(); err != nil {
		return nil, err
	}
	if saved.missing {
		return []string{"removed " + d.path()}, nil
	}
	return []string{"put back " + d.path() + " as it was"}, d.record().Forget(daemonFile)
}

// back has the engine be as it was before the settings were made, and containers run on meanwhile. It keeps to a setting
// that is merely gone from its file, so that live-restore is switched in words. A runtime that nobody names any more it
// may keep until it is restarted.
func (d *daemonJSON) back(ctx context.Context, was snapshot, made missing) error {
	there, err := parseSettings(was.content)
	if err != nil {
		return err
	}
	switchable := made.liveRestore || there.LiveRestore != nil // and not given as a flag
	anew := made.noNetwork || made.userns
	if anew {
		if err := d.restartAs(ctx, was, switchable); err != nil {
			return err
		}
	}
	if made.liveRestore || anew && switchable {
		return d.switchLiveRestore(ctx, was, there.LiveRestore != nil && *there.LiveRestore)
	}
	return nil
}

func (d *daemonJSON) restartAs(ctx context.Context, was snapshot, switchable bool) error {
	if switchable {
		if err := d.switchLiveRestore(ctx, was, true); err != nil {
			return err
		}
	} else if err := was.restore(); err != nil {
		return err
	}
	return d.restart(ctx)
}

// switchLiveRestore has the file say so, and the engine do so.
func (d *daemonJSON) switchLiveRestore(ctx context.Context, file snapshot, on bool) error {
	var err error
	if file.content, err = withSetting(file.content, strconv.FormatBool(on), "live-restore"); err != nil {
		return err
	}
	if file.missing {
		file.mode = 0o644
	}
	if err := file.put(); err != nil {
		return err
	}
	return d.reload(ctx, func(facts EngineFacts) bool { return facts.LiveRestore == on })
}
