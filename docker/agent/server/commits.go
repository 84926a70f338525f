package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
)

// labelCommit marks an image that the agent made of a container's files, with a word that is used once. The image has no
// name, and Docker's answer, which has its id, may never come: so the word is written down before, in a file of its own.
// The label alone means nothing: an image that is loaded from elsewhere may bring any.
const labelCommit = "ndock.commit"

// commits are what is written down of images that the agent has made.
type commits struct {
	dir  string
	mu   sync.Mutex
	busy map[string]bool // words of images that a verb works with now
}

func newCommits(dir string) *commits { return &commits{dir: dir, busy: map[string]bool{}} }

// A commit is one that was written down.
type commit struct {
	Word   string    `json:"-"`
	Since  time.Time `json:"-"`
	Server string    `json:"server"`
	Engine string    `json:"engine"` // which has the image
}

// begin writes a commit down. The caller calls done when he is through with the image.
func (c *commits) begin(server, engine string) (word string, done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	word = rand.Text()
	text, err := json.Marshal(commit{Server: server, Engine: engine})
	if err == nil {
		err = os.MkdirAll(c.dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, word), text, 0o600)
	}
	if err != nil {
		return "", nil, fmt.Errorf("write down that an image is made: %w", err)
	}
	c.busy[word] = true
	return word, func() { c.end(word) }, nil
}

func (c *commits) end(word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, word)
}

func (c *commits) isBusy(word string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[word]
}

// forget is for an image that is gone. The directory goes with the last one.
func (c *commits) forget(word string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.Remove(filepath.Join(c.dir, word)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(c.dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// idle are the commits that no verb works with. One that cannot be read is passed over: nothing is known of its image.
func (c *commits) idle() ([]commit, error) {
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
		found := commit{Word: entry.Name(), Since: info.ModTime()}
		if json.Unmarshal(text, &found) == nil {
			all = append(all, found)
		}
	}
	return all, nil
}

// commitContainer makes an image of a container's files. done says that the caller is through with it, and whether it is
// gone: an image that a container is made of stays written down as long as it is there.
func (s *Server) commitContainer(ctx context.Context, uuid, id string, pause bool) (image string, done func(gone bool) error, err error) {
	engine, err := s.engineID(ctx)
	if err != nil {
		return "", nil, err
	}
	word, end, err := s.commits.begin(uuid, engine)
	if err != nil {
		return "", nil, err
	}
	made, err := s.docker.ContainerCommit(ctx, id, container.CommitOptions{Pause: pause, Changes: []string{"LABEL " + labelCommit + "=" + word}})
	if err != nil { // Docker may come to it all the same
		end()
		return "", nil, fmt.Errorf("commit: %w", err)
	}
	return made.ID, func(gone bool) error {
		defer end()
		if gone {
			return s.commits.forget(word)
		}
		return nil
	}, nil
}

// orphanImages are those that the agent made, that have no name, that no container is made of and no verb works with.
func (s *Server) orphanImages(ctx context.Context) ([]agent.Orphan, error) {
	orphans := []agent.Orphan{}
	err := s.eachLeftCommit(ctx, func(left commit, id string, used bool) error {
		if id != "" && !used {
			orphans = append(orphans, agent.Orphan{Kind: "image", Name: id, Server: left.Server, Since: left.Since, Sure: true})
		}
		return nil
	})
	return orphans, err
}

// removeOrphanImage looks once more.
func (s *Server) removeOrphanImage(ctx context.Context, orphan agent.Orphan) error {
	return s.eachLeftCommit(ctx, func(left commit, id string, used bool) error {
		if id != orphan.Name || used {
			return nil
		}
		if err := s.discard(id); err != nil {
			return err
		}
		return s.commits.forget(left.Word)
	})
}

// forgetCommits forgets those of which there is no image: for long, because Docker may still be at it.
func (s *Server) forgetCommits(ctx context.Context) error {
	return s.eachLeftCommit(ctx, func(left commit, id string, _ bool) error {
		if id == "" && time.Since(left.Since) > patience {
			return s.commits.forget(left.Word)
		}
		return nil
	})
}

// eachLeftCommit shows the idle commits of this engine, the image of each, if that is there and has no name, and whether
// a container is made of it.
func (s *Server) eachLeftCommit(ctx context.Context, do func(left commit, id string, used bool) error) error {
	all, err := s.commits.idle()
	if err != nil || len(all) == 0 {
		return err
	}
	engine, err := s.engineID(ctx)
	if err != nil {
		return err
	}
	nameless, err := s.docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("dangling", "true"), filters.Arg("label", labelCommit))})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	used, err := s.usedImages(ctx)
	if err != nil {
		return err
	}
	ids := map[string]string{}
	for _, found := range nameless {
		ids[found.Labels[labelCommit]] = found.ID
	}
	var failed []error
	for _, left := range all {
		if id := ids[left.Word]; left.Engine == engine {
			failed = append(failed, do(left, id, id != "" && used[id]))
		}
	}
	return errors.Join(failed...)
}
