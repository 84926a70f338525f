package node

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
type changes struct {
	before []snapshot
	others []func() error // take back what else was done
}

// any says whether there is something to take back: a file, or what was written down of one before it was touched.
func (c *changes) any() bool { return len(c.before)+len(c.others) > 0 }

// files says whether a file was changed.
func (c *changes) files() bool { return len(c.before) > 0 }

// onRollback adds what has to be done, once all files are as they were, to take back something else.
func (c *changes) onRollback(undo func() error) { c.others = append(c.others, undo) }

// keepOthers has takeBack restore files alone.
func (c *changes) keepOthers() { c.others = nil }

// write puts a file of ours in place, with the directories that it needs.
func (c *changes) write(path string, content []byte, mode fs.FileMode) error {
	if err := c.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	return c.replace(path, snapshot{content: content, mode: mode, uid: os.Geteuid(), gid: os.Getegid()})
}

// edit replaces the content of a file that is the operator's, whose owner and mode stay. A link is followed.
func (c *changes) edit(path string, content []byte) error {
	old, err := take(path)
	if err != nil {
		return err
	}
	old.content = content
	return c.replace(old.path, old)
}

func (c *changes) replace(path string, with snapshot) error {
	old, err := before(path)
	if err != nil {
		return err
	}
	with.path = old.path // where a link leads
	if err := with.put(); err != nil {
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
func editsOf(path string, before, after []byte) []Edit {
	if before != nil && bytes.Equal(before, after) {
		return nil
	}
	return []Edit{{path, before, after}}
}

// make does an edit.
func (c *changes) make(edit Edit) error {
	if edit.Before == nil {
		return c.write(edit.Path, edit.After, 0o644)
	}
	return c.edit(edit.Path, edit.After)
}

// remove removes a file, if there is one.
func (c *changes) remove(path string) error {
	old, err := before(path)
	if err != nil || old.missing {
		return err
	}
	if err := removeFile(old.path); err != nil {
		return fileError("remove", path, err)
	}
	c.before = append(c.before, old)
	return nil
}

func (c *changes) mkdir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := c.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := makeDirectory(path, 0o755); err != nil {
		return fileError("make", path, err)
	}
	c.before = append(c.before, snapshot{path: path, missing: true})
	return nil
}

// takeBack makes all files as they were. What it cannot restore does not keep it from the rest; what is written down about
// that stays so.
func (c *changes) takeBack() error {
	var failed []error
	for _, old := range slices.Backward(c.before) {
		failed = append(failed, old.restore())
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
func holds(path string, content []byte, mode fs.FileMode) (bool, error) {
	p, err := openParent(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fileError("read", path, err)
	}
	defer p.close()
	file, status, err := p.file()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fileError("read", path, err)
	}
	defer file.Close()
	if status.Size != int64(len(content)) || fs.FileMode(status.Mode).Perm() != mode {
		return false, nil
	}
	found, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	if err != nil {
		return false, fileError("read", path, err)
	}
	return bytes.Equal(found, content), nil
}

// begins says whether a file, if there is one, begins so.
func begins(path string, with string) bool {
	content, err := readFile(path)
	return err == nil && bytes.HasPrefix(content, []byte(with))
}
