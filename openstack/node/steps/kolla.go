package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"

	"ndock/openstack/node/jsonedit"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
)

// kolla is the step that has Kolla's container copy the driver's files into Nova's Python when it starts, as it copies
// Nova's configuration.
type kolla struct {
	Machine
	did system.Changes // of this run
}

func (k *kolla) Title() string { return "kolla" }

func (k *kolla) path() string { return k.Layout.Path(layout.KollaConfig) }

// A copied file or directory, see kolla_set_configs.
type copied struct {
	Source   string `json:"source"`
	Dest     string `json:"dest"`
	Owner    string `json:"owner"`
	Perm     string `json:"perm"`
	Optional bool   `json:"optional"` // without our files the container starts all the same
}

// kollaMount is where the container has /etc/kolla/nova-compute.
const kollaMount = "/var/lib/kolla/config_files"

var kollaSource = kollaMount + "/" + path.Base(layout.KollaShim)

func (k *kolla) Plan(ctx context.Context) ([]string, error) {
	edits, err := k.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return nil, err
	}
	return []string{fmt.Sprintf("have the container copy %s, in %s", k.Layout.Path(layout.KollaShim), k.path())}, nil
}

// Edits adds the copy to what the container does.
func (k *kolla) Edits(ctx context.Context) ([]system.Edit, error) {
	now, err := system.TakeSnapshot(k.path())
	if err != nil {
		return nil, err
	}
	wanted, err := k.with(ctx, now.Content)
	return system.EditsOf(k.path(), now.Content, wanted), err
}

// with adds the copy to what the container does when it starts.
func (k *kolla) with(ctx context.Context, content []byte) ([]byte, error) {
	var there struct {
		Files []copied `json:"config_files"`
	}
	if err := json.Unmarshal(content, &there); err != nil {
		return nil, fmt.Errorf("read %s: %w", k.path(), err)
	}
	for _, file := range there.Files {
		if file.Source == kollaSource {
			return content, nil
		}
	}
	dir, err := k.virtDirectory(ctx)
	if err != nil {
		return nil, err
	}
	entry, err := json.Marshal(copied{kollaSource, path.Join(dir, novadriver.Name), "nova", "0644", true})
	if err != nil {
		return nil, err
	}
	return jsonedit.InsertElement(content, string(entry), "config_files")
}

func (k *kolla) Do(ctx context.Context) error {
	edits, err := k.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return err
	}
	return k.did.Apply(edits[0])
}

// Rollback puts the file back as this run found it.
func (k *kolla) Rollback(context.Context) ([]string, error) {
	if !k.did.Any() {
		return nil, nil
	}
	return []string{"put back " + k.path() + " as it was"}, k.did.Rollback()
}

// Teardown takes the copy out again. What the container has copied goes with it when kolla-ansible makes it anew; without
// its name in nova.conf nothing loads it.
func (k *kolla) Teardown(context.Context) ([]string, error) {
	now, err := system.Inspect(k.path())
	if err != nil || now.Missing || !bytes.Contains(now.Content, []byte(kollaSource)) {
		return nil, err
	}
	without, err := jsonedit.DeleteElements(now.Content, func(element []byte) bool { return bytes.Contains(element, []byte(kollaSource)) }, "config_files")
	if err != nil {
		return nil, err
	}
	var did system.Changes
	if err := did.Edit(k.path(), without); err != nil {
		return nil, err
	}
	return []string{"removed the copy of the driver from " + k.path()}, nil
}

func (k *kolla) Detail(context.Context) string {
	return "the container copies the driver when it starts"
}
