package steps

import (
	"bytes"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// history is what setup has done to daemon.json.
type history struct {
	saved     system.Snapshot   // the file before setup
	ours      bool              // nobody has edited it since
	made      dockerd.Wanted    // the settings that setup made, which are to be taken back
	meanwhile *record.Meanwhile // a teardown, or a rollback, was killed while it took them back; else nil
}

func (d *daemonJSON) history(now system.Snapshot) (history, error) {
	saved, err := d.record().Original(dockerd.File)
	if err != nil {
		return history{}, err
	}
	r, err := d.record().Read()
	if err != nil {
		return history{}, err
	}
	if half := r.Meanwhile; half != nil && (bytes.Equal(half.Content, now.Content) || half.Former != nil && bytes.Equal(half.Former, now.Content)) {
		return history{saved, true, dockerd.Wanted{LiveRestore: half.LiveRestore, Restart: half.Restart}, half}, nil
	}
	made, ours, err := d.editor().Made(saved.Content, now.Content)
	return history{saved: saved, ours: ours, made: made}, err
}

// isBack tells whether the file is as it was before setup, and was recorded all the same: a setup was killed before it had
// edited it, or a teardown before it had forgotten it.
func (h history) isBack(now system.Snapshot) bool {
	return !h.saved.Missing && bytes.Equal(h.saved.Content, now.Content)
}

// switchesLiveRestore tells whether the engine has live-restore only until it has its settings of before.
func (h history) switchesLiveRestore() bool { return h.meanwhile != nil && h.meanwhile.LiveRestore }

// setMeanwhile records what daemon.json is to have until the engine has its settings of before; nil for no more.
func (d *daemonJSON) setMeanwhile(half *record.Meanwhile) error {
	r, err := d.record().Read()
	if err != nil || r.Meanwhile == nil && half == nil {
		return err
	}
	was := r.Meanwhile
	if half != nil && was != nil {
		half.Former = was.Content
	}
	return d.record().AmendIn(&d.did, func(r *record.Record) { r.Meanwhile = half }, func(r *record.Record) { r.Meanwhile = was })
}

// forget removes from the record what it has of daemon.json.
func (d *daemonJSON) forget() error {
	if err := d.setMeanwhile(nil); err != nil {
		return err
	}
	return d.record().Forget(dockerd.File)
}
