package system

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A File is to be on the machine as it is here. Path is the machine's own.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode
}

// changes are what a step did to files in this run: all of it can be taken back, to the byte.
type Changes struct {
	before []Snapshot
	others []func() error // take back what else was done
}

// any says whether there is something to take back: a file, or what was written down of one before it was touched.
func (c *Changes) Any() bool { return len(c.before)+len(c.others) > 0 }

// files says whether a file was changed.
func (c *Changes) HasFiles() bool { return len(c.before) > 0 }

// onRollback adds what has to be done, once all files are as they were, to take back something else.
func (c *Changes) OnRollback(undo func() error) { c.others = append(c.others, undo) }

// keepOthers has takeBack restore files alone.
func (c *Changes) KeepOthers() { c.others = nil }

// write puts a file of ours in place, with the directories that it needs.
func (c *Changes) Write(path string, content []byte, mode fs.FileMode) error {
	if err := c.MakeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	return c.replace(path, Snapshot{Content: content, Mode: mode, UID: os.Geteuid(), GID: os.Getegid()})
}

// edit replaces the content of a file that is the operator's, whose owner and mode stay. A link is followed.
func (c *Changes) Edit(path string, content []byte) error {
	old, err := TakeSnapshot(path)
	if err != nil {
		return err
	}
	old.Content = content
	return c.replace(old.Path, old)
}

func (c *Changes) replace(path string, with Snapshot) error {
	old, err := Inspect(path)
	if err != nil {
		return err
	}
	with.Path = old.Path // where a link leads
	if err := with.Write(); err != nil {
		return err
	}
	c.before = append(c.before, old)
	return nil
}

// An Edit is a file's content, now and then. Before is nil for a file that is not there yet.
type Edit struct {
	Path          string
	Before, After []byte
}

// editsOf returns the edit of a file, none where it would change nothing.
func EditsOf(path string, before, after []byte) []Edit {
	if before != nil && bytes.Equal(before, after) {
		return nil
	}
	return []Edit{{path, before, after}}
}

// make does an edit.
func (c *Changes) Apply(edit Edit) error {
	if edit.Before == nil {
		return c.Write(edit.Path, edit.After, 0o644)
	}
	return c.Edit(edit.Path, edit.After)
}

// remove removes a file, if there is one.
func (c *Changes) Remove(path string) error {
	old, err := Inspect(path)
	if err != nil || old.Missing {
		return err
	}
	if err := RemoveFile(old.Path); err != nil {
		return FileError("remove", path, err)
	}
	c.before = append(c.before, old)
	return nil
}

func (c *Changes) MakeDirectory(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := c.MakeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	if err := makeDirectory(path, 0o755); err != nil {
		return FileError("make", path, err)
	}
	c.before = append(c.before, Snapshot{Path: path, Missing: true})
	return nil
}

// takeBack makes all files as they were. What it cannot restore does not keep it from the rest; what is written down about
// that stays so.
func (c *Changes) Rollback() error {
	var failed []error
	for _, old := range slices.Backward(c.before) {
		failed = append(failed, old.Restore())
	}
	if errors.Join(failed...) == nil {
		for _, restore := range slices.Backward(c.others) {
			failed = append(failed, restore())
		}
	}
	c.before, c.others = nil, nil
	return errors.Join(failed...)
}

// holds says whether a file has this content and mode.
func Holds(path string, content []byte, mode fs.FileMode) (bool, error) {
	p, err := openParent(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, FileError("read", path, err)
	}
	defer p.close()
	file, status, err := p.file()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, FileError("read", path, err)
	}
	defer file.Close()
	if status.Size != int64(len(content)) || fs.FileMode(status.Mode).Perm() != mode {
		return false, nil
	}
	found, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	if err != nil {
		return false, FileError("read", path, err)
	}
	return bytes.Equal(found, content), nil
}

// begins says whether a file, if there is one, begins so.
func BeginsWith(path string, with string) bool {
	content, err := ReadFile(path)
	return err == nil && bytes.HasPrefix(content, []byte(with))
}
