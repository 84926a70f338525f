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

// A File is one that setup installs. Path is the machine's own.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode
}

// Changes are what a step did to files in this run. Rollback restores them to the byte.
type Changes struct {
	before []Snapshot
	others []func() error // undo what else was done
}

// Any tells whether there is something to roll back.
func (c *Changes) Any() bool { return len(c.before)+len(c.others) > 0 }

// HasFiles tells whether a file was changed.
func (c *Changes) HasFiles() bool { return len(c.before) > 0 }

// HasMade tells whether a file was made that was not there before.
func (c *Changes) HasMade() bool {
	return slices.ContainsFunc(c.before, func(old Snapshot) bool { return old.Missing })
}

// OnRollback adds what Rollback has to do once all files are restored.
func (c *Changes) OnRollback(undo func() error) { c.others = append(c.others, undo) }

// KeepOthers has Rollback restore files only.
func (c *Changes) KeepOthers() { c.others = nil }

// Write installs a file of ndock's own, with the directories that it needs.
func (c *Changes) Write(path string, content []byte, mode fs.FileMode) error {
	if err := c.MakeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	return c.replace(path, Snapshot{Content: content, Mode: mode, UID: os.Geteuid(), GID: os.Getegid()})
}

// Edit replaces the content of a file of the operator's, whose owner and mode stay. It follows a link.
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

// An Edit is a file's content before and after setup. Before is nil for a file that is not there yet.
type Edit struct {
	Path          string
	Before, After []byte
}

// EditsOf returns the edit of a file, none where it would change nothing.
func EditsOf(path string, before, after []byte) []Edit {
	if before != nil && bytes.Equal(before, after) {
		return nil
	}
	return []Edit{{path, before, after}}
}

// Apply makes an edit.
func (c *Changes) Apply(edit Edit) error {
	if edit.Before == nil {
		return c.Write(edit.Path, edit.After, 0o644)
	}
	return c.Edit(edit.Path, edit.After)
}

// Remove removes a file, if there is one.
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

// MakeDirectory makes a directory with its parents, where they are missing.
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

// Rollback restores all files, and then does what OnRollback has added. Where it cannot restore a file it goes on with the
// others, but keeps what is recorded, for teardown to try again.
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

// PutBack rolls back the changes of one file, and returns a sentence on it; none where there were no changes.
func (c *Changes) PutBack(path string) ([]string, error) {
	if !c.Any() {
		return nil, nil
	}
	return []string{"put back " + path + " as it was"}, c.Rollback()
}

// Holds tells whether a file has this content and mode, and belongs to root, or to whoever runs this.
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
	if status.Uid != 0 && int(status.Uid) != os.Geteuid() {
		return false, nil // who could change it
	}
	if status.Size != int64(len(content)) || fs.FileMode(status.Mode).Perm() != mode {
		return false, nil
	}
	found, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	if err != nil {
		return false, FileError("read", path, err)
	}
	return bytes.Equal(found, content), nil
}

// BeginsWith tells whether a file begins with a text.
func BeginsWith(path string, with string) bool {
	content, err := ReadFile(path)
	return err == nil && bytes.HasPrefix(content, []byte(with))
}
