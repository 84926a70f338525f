package instance

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// labelCommit labels an image that the agent made of a container's files with a key that is used once. The image has no
// name, and Docker's answer with its id may get lost: so the key is recorded before, as a file of that name. The label alone
// means nothing: an image from elsewhere may bring any.
const labelCommit = "ndock.commit"

// commitRecords are files about the images that the agent has made.
type commitRecords struct {
	dir  string
	mu   sync.Mutex
	busy map[string]bool // keys of images that a verb works with now
}

func newCommitRecords(dir string) *commitRecords {
	return &commitRecords{dir: dir, busy: map[string]bool{}}
}

// A commit is what is recorded of an image.
type commit struct {
	Key    string    `json:"-"`
	Since  time.Time `json:"-"`
	Server string    `json:"server"`
	Engine string    `json:"engine"` // which has the image
}

// begin records a commit. The caller calls done when no verb works with the image any more.
func (c *commitRecords) begin(server, engine string) (key string, done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key = rand.Text()
	text, err := json.Marshal(commit{Server: server, Engine: engine})
	if err == nil {
		err = os.MkdirAll(c.dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, key), text, 0o600)
	}
	if err != nil {
		return "", nil, fmt.Errorf("record that an image is made: %w", err)
	}
	c.busy[key] = true
	return key, func() { c.end(key) }, nil
}

func (c *commitRecords) end(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, key)
}

func (c *commitRecords) isBusy(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[key]
}

// forget removes the record of an image that is gone, and the directory with the last one.
func (c *commitRecords) forget(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.Remove(filepath.Join(c.dir, key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(c.dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// idle returns the commits that no verb works with. One that cannot be read is left out: nothing is known of its image.
func (c *commitRecords) idle() ([]commit, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var all []commit
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(c.dir, entry.Name()))
		info, missing := entry.Info()
		if errors.Join(err, missing) != nil || c.isBusy(entry.Name()) {
			continue
		}
		found := commit{Key: entry.Name(), Since: info.ModTime()}
		if json.Unmarshal(text, &found) == nil {
			all = append(all, found)
		}
	}
	return all, nil
}
