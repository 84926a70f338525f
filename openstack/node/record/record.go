// Package record keeps what setup did on this machine, by which teardown undoes it.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"ndock/openstack/node/system"
)

// File is the record. Its content may be secret and decides what root writes: only root may read the file, and write to its
// directory.
const File = "/var/lib/ndock/setup.json"

// A Record is what setup did on a machine.
type Record struct {
	Program     string              `json:"program,omitempty"`     // the path of ndock, where it was not there before
	Runtime     string              `json:"runtime,omitempty"`     // the path of ndock-runtime, where it was not there before
	Config      string              `json:"config,omitempty"`      // the sum of the agent's configuration, where setup wrote it
	Engine      string              `json:"engine,omitempty"`      // the package of Docker Engine that setup installed
	Completions []Claim             `json:"completions,omitempty"` // files and directories of the step of that name
	Files       map[string]Original `json:"files,omitempty"`       // what was replaced, by their paths
	Sysctls     map[string]Raised   `json:"sysctls,omitempty"`     // limits of the kernel, by their names
	Definitions bool                `json:"definitions,omitempty"` // setup added metadata definitions to Glance
	Meanwhile   *Meanwhile          `json:"meanwhile,omitempty"`   // nil but while Docker Engine is given back its settings of before
}

// An Original is a file as it was before setup changed it.
type Original struct {
	Content []byte      `json:"content"`
	Mode    fs.FileMode `json:"mode"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	Label   []byte      `json:"label,omitempty"` // of SELinux
}

// Meanwhile is daemon.json while Docker Engine is given back its settings of before, and what is left to do then.
type Meanwhile struct {
	Content     []byte `json:"content"`
	Former      []byte `json:"former,omitempty"`       // its content until that is written, where this is not the first
	LiveRestore bool   `json:"live_restore,omitempty"` // is to be switched to what it was before
	Restart     bool   `json:"restart,omitempty"`      // of the engine
}

// Raised is a limit of the kernel that setup raised, from Was to Is.
type Raised struct{ Was, Is uint64 }

// A Store is the record of the machine whose files are under this root.
type Store string

func (s Store) path(path string) string { return filepath.Join(string(s), path) }

// Read returns the record, also what earlier releases recorded. It is empty where there is none, or where the user is not
// root and may not read it.
func (s Store) Read() (Record, error) {
	path := s.path(File)
	content, err := system.ReadPrivate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return s.withEarlier(Record{})
	case err != nil:
		return Record{}, system.FileError("read", path, err)
	}
	var r Record
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&r); err != nil {
		return Record{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s.withEarlier(r)
}

// Write replaces the record, and removes its file where that would say nothing.
func (s Store) Write(r Record) error {
	if err := s.removeEarlier(r); err != nil {
		return err
	}
	earlier, err := s.withEarlier(Record{})
	if err != nil {
		return err
	}
	path := s.path(File)
	if r.saysNoMoreThan(earlier) {
		err := system.RemoveFile(path)
		system.RemoveEmpty(filepath.Dir(path)) // stays when it holds more
		if errors.Is(err, fs.ErrNotExist) || err == nil {
			return nil
		}
		return system.FileError("remove", path, err)
	}
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := new(system.Changes).MakeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	err = system.Snapshot{Path: path, Content: append(content, '\n'), Mode: 0o600, UID: os.Geteuid(), GID: os.Getegid()}.Write()
	if err != nil {
		system.RemoveEmpty(filepath.Dir(path)) // which was made for it
	}
	return err
}

// Amend changes the record.
func (s Store) Amend(change func(*Record)) error {
	r, err := s.Read()
	if err != nil {
		return err
	}
	if r.Files = maps.Clone(r.Files); r.Files == nil {
		r.Files = map[string]Original{}
	}
	change(&r)
	return s.Write(r)
}

// AmendIn changes the record as part of other changes. When these are rolled back, back is applied to the record.
func (s Store) AmendIn(c *system.Changes, change, back func(*Record)) error {
	if err := s.Amend(change); err != nil {
		return err
	}
	c.OnRollback(func() error { return s.Amend(back) })
	return nil
}

// Keep records the file at a path as it is, before it is changed.
func (s Store) Keep(c *system.Changes, path string) error {
	r, err := s.Read()
	if err != nil {
		return err
	}
	now, err := system.TakeSnapshot(s.path(path))
	if err != nil {
		return err
	}
	said, kept := r.Files[path]
	return s.AmendIn(c,
		func(r *Record) { r.Files[path] = Original{now.Content, now.Mode, now.UID, now.GID, now.Label} },
		func(r *Record) {
			delete(r.Files, path)
			if kept {
				r.Files[path] = said
			}
		})
}

// Original returns a file as it was before setup; missing where it was not kept. Earlier releases kept a copy beside the
// file. Such a copy counts only if it belongs to root or to the owner of the file: others can have put it there.
func (s Store) Original(path string) (system.Snapshot, error) {
	r, err := s.Read()
	if err != nil {
		return system.Snapshot{}, err
	}
	if old, ok := r.Files[path]; ok {
		return system.Snapshot{Path: s.path(path), Content: old.Content, Mode: old.Mode, UID: old.UID, GID: old.GID, Label: old.Label}, nil
	}
	if why := s.distrust(path); why != nil {
		return system.Snapshot{Path: s.path(path), Missing: true}, nil
	}
	return system.Inspect(s.path(path) + earlierCopy)
}

// Forget removes what is kept of a file, once teardown has put it back.
func (s Store) Forget(path string) error {
	if err := s.Amend(func(r *Record) { delete(r.Files, path) }); err != nil {
		return err
	}
	if s.distrust(path) != nil {
		return nil
	}
	return new(system.Changes).Remove(s.path(path) + earlierCopy)
}

// ForgetIn is Forget as part of other changes, which puts the file back at once.
func (s Store) ForgetIn(c *system.Changes, path string) error {
	r, err := s.Read()
	if err != nil {
		return err
	}
	if said, kept := r.Files[path]; kept {
		err = s.AmendIn(c, func(r *Record) { delete(r.Files, path) }, func(r *Record) { r.Files[path] = said })
	}
	if err != nil || s.distrust(path) != nil {
		return err
	}
	return c.Remove(s.path(path) + earlierCopy)
}
