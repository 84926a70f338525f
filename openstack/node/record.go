package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// recordFile is where setup writes down what it replaced, by which teardown puts it back. What is in there may be secret
// and decides what root writes: the file is root's alone, and so is its directory.
const recordFile = "/var/lib/ndock/setup.json"

// record is what is in it.
type record struct {
	Program     string              `json:"program,omitempty"`     // the path of ndock, where it was not there before
	Engine      string              `json:"engine,omitempty"`      // the package of Docker Engine that setup installed
	Completions []claimed           `json:"completions,omitempty"` // what the step of that name made
	Files       map[string]original `json:"files,omitempty"`       // what was replaced, by their paths
	Sysctls     map[string]raised   `json:"sysctls,omitempty"`     // limits of the kernel, by their names
}

func (r record) empty() bool {
	return r.Program == "" && r.Engine == "" && len(r.Completions)+len(r.Files)+len(r.Sysctls) == 0
}

// Earlier releases had a file for each of these.
const (
	formerProgram     = "/var/lib/ndock/setup"
	formerEngine      = "/var/lib/ndock/engine"
	formerCompletions = "/var/lib/ndock/completions"
)

// original is a file as it was before setup changed it.
type original struct {
	Content []byte      `json:"content"`
	Mode    fs.FileMode `json:"mode"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	Label   []byte      `json:"label,omitempty"` // of SELinux's
}

// raised is a limit of the kernel's that setup raised.
type raised struct{ Was, Is uint64 }

func (l Layout) readRecord() (record, error) {
	path := l.Path(recordFile)
	p, err := openParent(path)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fileError("read", path, err)
	}
	defer p.close()
	file, status, err := p.file()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 { // who is not root sees no more than the rest
		return record{}, nil
	}
	if err != nil {
		return record{}, fileError("read", path, err)
	}
	defer file.Close()
	if p.shared() || int(status.Uid) != os.Geteuid() && status.Uid != 0 || status.Mode&0o022 != 0 {
		return record{}, advise(fmt.Errorf("others than root may write to %s, or to its directory", path), "see who changed that, and what is in it; make it root's again with mode 0600")
	}
	var r record
	if err := json.NewDecoder(file).Decode(&r); err != nil {
		return record{}, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// writeRecord removes the file when nothing is written down any more.
func (l Layout) writeRecord(r record) error {
	path := l.Path(recordFile)
	if r.empty() {
		err := removeFile(path)
		removeEmpty(filepath.Dir(path)) // stays when it holds more
		if errors.Is(err, fs.ErrNotExist) || err == nil {
			return nil
		}
		return fileError("remove", path, err)
	}
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := new(changes).mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	return snapshot{path: path, content: append(content, '\n'), mode: 0o600, uid: os.Geteuid(), gid: os.Getegid()}.put()
}

// amend changes the record.
func (l Layout) amend(change func(*record)) error {
	r, err := l.readRecord()
	if err != nil {
		return err
	}
	if r.Files = maps.Clone(r.Files); r.Files == nil {
		r.Files = map[string]original{}
	}
	change(&r)
	return l.writeRecord(r)
}

// keep writes down a file as it is, before it is changed into something else.
func (c *changes) keep(l Layout, path string) error {
	now, err := take(l.Path(path))
	if err != nil {
		return err
	}
	return c.amend(l, path, &original{now.content, now.mode, now.uid, now.gid, now.label})
}

// amend sets what the record says of a file, nothing for nil; takeBack has it say again what it said.
func (c *changes) amend(l Layout, path string, with *original) error {
	r, err := l.readRecord()
	if err != nil {
		return err
	}
	var said *original
	if old, ok := r.Files[path]; ok {
		said = &old
	}
	return c.record(l, func(r *record) { set(r.Files, path, with) }, func(r *record) { set(r.Files, path, said) })
}

// record writes something down, and has takeBack write down what was there.
func (c *changes) record(l Layout, what, back func(*record)) error {
	if err := l.amend(what); err != nil {
		return err
	}
	c.recorded = append(c.recorded, func() error { return l.amend(back) })
	return nil
}

func set(files map[string]original, path string, with *original) {
	if with == nil {
		delete(files, path)
	} else {
		files[path] = *with
	}
}

// former is a file as it was before setup, missing where nothing is kept of it. Earlier releases kept it beside the
// file; that is believed only where nobody can have put it there but root, or who may write the file itself.
func (l Layout) former(path string) (snapshot, error) {
	r, err := l.readRecord()
	if err != nil {
		return snapshot{}, err
	}
	if old, ok := r.Files[path]; ok {
		return snapshot{path: l.Path(path), content: old.Content, mode: old.Mode, uid: old.UID, gid: old.GID, label: old.Label}, nil
	}
	if why := l.mistrusted(path); why != nil {
		return snapshot{path: l.Path(path), missing: true}, nil
	}
	return before(l.Path(path) + savedEnding)
}

// savedEnding is what earlier releases put behind the name of a file for the name of its copy.
const savedEnding = ".ndock-saved"

// mistrusted says why the copy of an earlier release beside a file is not believed, nil where it is or there is none.
func (l Layout) mistrusted(path string) error {
	saved, err := before(l.Path(path) + savedEnding)
	if err != nil || saved.missing {
		return err
	}
	now, err := before(l.Path(path))
	if err != nil || saved.uid == os.Geteuid() || !now.missing && now.uid == saved.uid {
		return err
	}
	return fmt.Errorf("%s is not root's", l.Path(path)+savedEnding)
}

// forget removes what is kept of a file, once it is as it was.
func (l Layout) forget(path string) error {
	if err := l.amend(func(r *record) { delete(r.Files, path) }); err != nil {
		return err
	}
	if l.mistrusted(path) != nil {
		return nil
	}
	return new(changes).remove(l.Path(path) + savedEnding)
}

// left says that a copy of an earlier release stays where it is.
func (l Layout) left(path string) []string {
	if why := l.mistrusted(path); why != nil {
		return []string{fmt.Sprintf("left %s, and did not go by it: %v", l.Path(path)+savedEnding, why)}
	}
	return nil
}
