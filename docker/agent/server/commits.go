package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/archive"
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
	if err := s.committable(ctx, id); err != nil {
		return "", nil, err
	}
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

// committable refuses a container whose image has as many layers as Docker stores: a commit would add one, and Docker says
// so only when it has read all of the container's files.
func (s *Server) committable(ctx context.Context, id string) error {
	found, err := s.docker.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	from, err := s.docker.ImageInspect(ctx, found.Image)
	if errdefs.IsNotFound(err) {
		return nil // Docker knows the layers without it
	}
	if err != nil {
		return fmt.Errorf("look up the image of container %s: %w", id, err)
	}
	if n := len(from.RootFS.Layers); n >= archive.EngineLayers {
		return unusableImage("the server's image has %d layers, and Docker Engine stores at most %d: no image can be made of its files, for a snapshot, a shelve or a resize. Rebuild the server from an image with fewer layers", n, archive.EngineLayers)
	}
	return nil
}

// orphanImages are those that the agent made, and that nothing holds.
func (s *Server) orphanImages(ctx context.Context) ([]agent.Orphan, error) {
	orphans := []agent.Orphan{}
	err := s.eachLeftCommit(ctx, func(left leftCommit) error {
		if left.image != "" && !left.held {
			orphans = append(orphans, agent.Orphan{Kind: "image", Name: left.image, Server: left.Server, Since: left.Since, Sure: true})
		}
		return nil
	})
	return orphans, err
}

// removeOrphanImage looks once more.
func (s *Server) removeOrphanImage(ctx context.Context, orphan agent.Orphan) error {
	return s.eachLeftCommit(ctx, func(left leftCommit) error {
		if left.image != orphan.Name || left.held {
			return nil
		}
		gone, err := s.removeUnused(left.image)
		if err != nil {
			return err
		}
		if !gone {
			return errors.New("it is used again")
		}
		return s.commits.forget(left.Word)
	})
}

// forgetCommits forgets those of which there is no image: for long, because Docker may still be at it.
func (s *Server) forgetCommits(ctx context.Context) error {
	return s.eachLeftCommit(ctx, func(left leftCommit) error {
		if left.image == "" && time.Since(left.Since) > patience {
			return s.commits.forget(left.Word)
		}
		return nil
	})
}

// removeCommitOf removes the image that a server's container was made of, and with it what is written down of it. The
// word comes from the image's label, which anyone may have written: it counts only where it is this server's.
func (s *Server) removeCommitOf(uuid, image, word string) error {
	gone, err := s.removeUnused(image)
	if err != nil || !gone || word == "" {
		return err
	}
	all, err := s.commits.idle()
	if err != nil || !slices.ContainsFunc(all, func(c commit) bool { return c.Word == word && c.Server == uuid }) {
		return err
	}
	return s.commits.forget(word)
}

// removeUnused removes an image unless something else still uses it, or it has a name: whoever gave it that, Docker
// would take the name away with the id. Its parents go too, as far as they have no name and are not used. It runs also
// when the request is over.
func (s *Server) removeUnused(id string) (gone bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), quick)
	defer cancel()
	found, err := s.docker.ImageInspect(ctx, id)
	if err == nil && len(found.RepoTags) > 0 {
		return false, nil
	}
	if err == nil {
		_, err = s.docker.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: true})
	}
	if errdefs.IsConflict(err) { // it, or only one of its parents, is used
		_, err = s.docker.ImageInspect(ctx, id)
		if err == nil {
			return false, nil
		}
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("remove image %s: %w", id, err)
	}
	return true, nil
}

// A leftCommit is one that no verb works with, and what Docker has of it.
type leftCommit struct {
	commit
	image string // its id, or "" where it is gone
	held  bool   // it has a name, or a container or another image is made of it, or it is not sure which image it is
}

// eachLeftCommit shows the idle commits of this engine.
func (s *Server) eachLeftCommit(ctx context.Context, do func(left leftCommit) error) error {
	all, err := s.commits.idle()
	if err != nil || len(all) == 0 {
		return err
	}
	engine, err := s.engineID(ctx)
	if err != nil {
		return err
	}
	labelled, err := s.docker.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelCommit))})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	held, err := s.usedImages(ctx)
	if err != nil {
		return err
	}
	for _, found := range labelled { // an image has the label of its parent, or one of its own
		held[found.ParentID] = true
		held[found.ID] = held[found.ID] || isNamed(found)
	}
	var failed []error
	for _, one := range all {
		if one.Engine == engine {
			failed = append(failed, do(leftOf(one, labelled, held)))
		}
	}
	return errors.Join(failed...)
}

// leftOf finds the image of a commit. Someone else's image may have its label too, if it was made of that image or
// loaded from a copy of it.
func leftOf(of commit, labelled []image.Summary, held map[string]bool) leftCommit {
	left := leftCommit{commit: of}
	for _, found := range labelled {
		if found.Labels[labelCommit] == of.Word {
			left.held = left.held || left.image != "" || held[found.ID]
			left.image = found.ID
		}
	}
	return left
}

// isNamed knows how Docker's API before 1.43 shows that an image has no name.
func isNamed(found image.Summary) bool {
	return slices.ContainsFunc(found.RepoTags, func(tag string) bool { return tag != "<none>:<none>" })
}
