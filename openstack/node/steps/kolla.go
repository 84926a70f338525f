package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"ndock/openstack/node/jsonedit"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/novadriver"
)

// kolla is the step that has Kolla's container copy the driver into Nova's Python when it starts, as it copies Nova's
// configuration.
type kolla struct {
	Machine
	did system.Changes // of this run
}

func (k *kolla) Title() string { return "kolla" }

func (k *kolla) path() string { return k.Layout.Path(layout.KollaConfig) }

// copied is a file or directory that the container copies, see kolla_set_configs.
type copied struct {
	Source   string `json:"source"`
	Dest     string `json:"dest"`
	Owner    string `json:"owner"`
	Perm     string `json:"perm"`
	Optional bool   `json:"optional"` // the container starts without it, too
}

// kollaMount is /etc/kolla/nova-compute in the container.
const kollaMount = "/var/lib/kolla/config_files"

var kollaSource = kollaMount + "/" + path.Base(layout.KollaShim)

func (k *kolla) Plan(ctx context.Context) ([]string, error) {
	edits, err := k.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return nil, err
	}
	if !bytes.Contains(edits[0].After, []byte(kollaSource)) {
		return []string{fmt.Sprintf("have the container mount %s and not copy it, in %s", k.Layout.Path(layout.KollaShim), k.path())}, nil
	}
	return []string{fmt.Sprintf("have the container copy %s, in %s", k.Layout.Path(layout.KollaShim), k.path())}, nil
}

// Edits adds the driver to what the container copies.
func (k *kolla) Edits(ctx context.Context) ([]system.Edit, error) {
	now, err := system.TakeSnapshot(k.path())
	if err != nil {
		return nil, err
	}
	wanted, err := k.with(ctx, now.Content)
	return system.EditsOf(k.path(), now.Content, wanted), err
}

// with returns the content with the driver added, or without it where Kolla mounts it: the container does not start when it
// cannot replace what it is to copy to.
func (k *kolla) with(ctx context.Context, content []byte) ([]byte, error) {
	var there struct {
		Files []copied `json:"config_files"`
	}
	if err := json.Unmarshal(content, &there); err != nil {
		return nil, fmt.Errorf("read %s: %w", k.path(), err)
	}
	mounts, err := k.mounts(ctx)
	exists := err == nil
	for _, file := range there.Files {
		switch {
		case file.Source == kollaSource && slices.Contains(mounts, file.Dest):
			return withoutDriver(content)
		case file.Source == kollaSource:
			return content, nil
		}
	}
	dest, err := k.driverDirectory(ctx, exists)
	if err != nil || slices.Contains(mounts, dest) {
		return content, err
	}
	entry, err := json.Marshal(copied{kollaSource, dest, "nova", "0644", true})
	if err != nil {
		return nil, err
	}
	return jsonedit.InsertElement(content, string(entry), "config_files")
}

// driverDirectory returns where the driver belongs in the container. One that exists is asked again and again: without the driver
// it ends, and is started anew.
func (k *kolla) driverDirectory(ctx context.Context, exists bool) (dest string, err error) {
	err = system.Await(ctx, 5*k.Timeouts.Poll, k.Timeouts.Engine, func(ctx context.Context) error {
		dir, err := k.virtDirectory(ctx)
		if err != nil && !exists {
			return system.Permanent(err)
		}
		dest = path.Join(dir, novadriver.Name)
		return err
	})
	return dest, err
}

// mounts returns where in the container something is mounted, as by nova_compute_extra_volumes.
func (k *kolla) mounts(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, pythonLimit)
	defer cancel()
	out, err := k.Commands.Run(ctx, append(layout.KollaDocker(), "inspect", "--format", "{{range .Mounts}}{{println .Destination}}{{end}}", layout.KollaContainer)...)
	return strings.Fields(out), err
}

// withoutDriver returns the content with the driver removed.
func withoutDriver(content []byte) ([]byte, error) {
	return jsonedit.DeleteElements(content, func(element []byte) bool { return bytes.Contains(element, []byte(kollaSource)) }, "config_files")
}

func (k *kolla) Do(ctx context.Context) error {
	edits, err := k.Edits(ctx)
	if err != nil || len(edits) == 0 {
		return err
	}
	return k.did.Apply(edits[0])
}

// Rollback puts the file back as this run found it.
func (k *kolla) Rollback(context.Context) ([]string, error) { return k.did.PutBack(k.path()) }

// Teardown removes the driver from what the container copies. The copy in the container stays until kolla-ansible recreates
// that; nothing loads it.
func (k *kolla) Teardown(context.Context) ([]string, error) {
	now, err := system.Inspect(k.path())
	if err != nil || now.Missing || !bytes.Contains(now.Content, []byte(kollaSource)) {
		return nil, err
	}
	without, err := withoutDriver(now.Content)
	if err != nil {
		return nil, err
	}
	var did system.Changes
	if err := did.Edit(k.path(), without); err != nil {
		return nil, err
	}
	return []string{"removed the copy of the driver from " + k.path()}, nil
}

func (k *kolla) Detail(context.Context) (string, error) {
	now, err := system.Inspect(k.path())
	if err == nil && !bytes.Contains(now.Content, []byte(kollaSource)) {
		return "the container has the driver mounted", nil
	}
	return "the container copies the driver when it starts", nil
}
