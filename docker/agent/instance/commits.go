package instance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/naming"
	"ndock/docker/archive"
	"ndock/docker/engine"
)

// commits makes images of containers' files, and finds those that were left behind.
type commits struct {
	engine  engine.Docker
	records *commitRecords
	pauses  *Pauses
	room    diskspace.Room
}

// commit makes an image of a container's files. The caller calls done when it no longer works with the image, and says
// whether that is gone: an image that a container is made of stays recorded as long as it is there.
func (c *commits) commit(ctx context.Context, uuid, id string, pause bool) (image string, done func(gone bool) error, err error) {
	found, err := c.checkLayers(ctx, id)
	if err != nil {
		return "", nil, err
	}
	err = c.pauses.whilePaused(ctx, found, func() error {
		return c.room.ForCommit(ctx, found, func(ctx context.Context) error {
			image, done, err = c.make(ctx, uuid, id, pause)
			return err
		})
	})
	if err != nil && image != "" { // the server could not be resumed
		gone, failed := engine.RemoveUnused(c.engine, image)
		return "", nil, errors.Join(err, failed, done(gone))
	}
	return image, done, err
}

// make records an image and has Docker make it.
func (c *commits) make(ctx context.Context, uuid, id string, pause bool) (image string, done func(gone bool) error, err error) {
	on, err := engine.ID(ctx, c.engine)
	if err != nil {
		return "", nil, err
	}
	key, end, err := c.records.begin(uuid, on)
	if err != nil {
		return "", nil, err
	}
	labels := "LABEL " + labelCommit + "=" + key + " " + naming.LabelRuntime + `="" ` + naming.LabelDevices + `=""` // these say nothing of another server
	made, err := c.engine.ContainerCommit(ctx, id, container.CommitOptions{Pause: pause, Changes: []string{labels}})
	if err != nil { // Docker may come to it all the same
		end()
		return "", nil, fmt.Errorf("commit: %w", err)
	}
	return made.ID, func(gone bool) error {
		defer end()
		if gone {
			return c.records.forget(key)
		}
		return nil
	}, nil
}

// check refuses a container of which no image could be made: its processes, which may yet run, go on then.
func (c *commits) check(ctx context.Context, id string) error {
	found, err := c.checkLayers(ctx, id)
	if err != nil {
		return err
	}
	return c.room.ForCommit(ctx, found, func(context.Context) error { return nil })
}

// checkLayers refuses a container whose image has as many layers as Docker stores: a commit would add one, and Docker says so
// only when it has read all of the container's files.
func (c *commits) checkLayers(ctx context.Context, id string) (found container.InspectResponse, err error) {
	found, err = c.engine.ContainerInspect(ctx, id)
	if err != nil {
		return found, err
	}
	from, err := c.engine.ImageInspect(ctx, found.Image)
	if errdefs.IsNotFound(err) {
		return found, nil // Docker knows the layers without it
	}
	if err != nil {
		return found, fmt.Errorf("look up the image of container %s: %w", id, err)
	}
	if n := len(from.RootFS.Layers); n >= archive.MaxEngineLayers {
		return found, agent.Faultf(agent.UnusableImage, "the server's image has %d layers, and Docker Engine stores at most %d: no image can be made of its files, for a snapshot, a shelve or a resize. Rebuild the server from an image with fewer layers", n, archive.MaxEngineLayers)
	}
	return found, nil
}

// orphans returns the images that the agent made, and that nothing holds.
func (c *commits) orphans(ctx context.Context) ([]agent.Orphan, error) {
	orphans := []agent.Orphan{}
	err := c.eachIdle(ctx, func(left idleCommit) error {
		if left.image != "" && !left.held {
			orphans = append(orphans, agent.Orphan{Kind: "image", Name: left.image, Server: left.Server, Since: left.Since, Sure: true})
		}
		return nil
	})
	return orphans, err
}

// removeOrphan looks once more before it removes one.
func (c *commits) removeOrphan(ctx context.Context, orphan agent.Orphan) error {
	return c.eachIdle(ctx, func(left idleCommit) error {
		if left.image != orphan.Name || left.held {
			return nil
		}
		gone, err := engine.RemoveUnused(c.engine, left.image)
		if err != nil {
			return err
		}
		if !gone {
			return errors.New("it is used again")
		}
		return c.records.forget(left.Key)
	})
}

// forgetOld forgets the records of which there is no image: for long, because Docker may still be at it.
func (c *commits) forgetOld(ctx context.Context) error {
	return c.eachIdle(ctx, func(left idleCommit) error {
		if left.image == "" && time.Since(left.Since) > abandonedAfter {
			return c.records.forget(left.Key)
		}
		return nil
	})
}

// removeFor removes the image that a server's container was made of, and with it its record. The key comes from the image's label, which anyone may have written: it counts only where it is this server's.
func (c *commits) removeFor(uuid, image, key string) error {
	gone, err := engine.RemoveUnused(c.engine, image)
	if err != nil || !gone || key == "" {
		return err
	}
	all, err := c.records.idle()
	if err != nil || !slices.ContainsFunc(all, func(one commit) bool { return one.Key == key && one.Server == uuid }) {
		return err
	}
	return c.records.forget(key)
}

// An idleCommit is one that no verb works with, and what Docker has of it.
type idleCommit struct {
	commit
	image string // its id, or "" where it is gone
	held  bool   // it has a name, a container or another image is made of it, or it is not clear which image it is
}

// eachIdle calls do for each commit of this engine that no verb works with.
func (c *commits) eachIdle(ctx context.Context, do func(left idleCommit) error) error {
	all, err := c.records.idle()
	if err != nil || len(all) == 0 {
		return err
	}
	on, err := engine.ID(ctx, c.engine)
	if err != nil {
		return err
	}
	labelled, err := c.engine.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelCommit))})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	held, err := engine.UsedImages(ctx, c.engine)
	if err != nil {
		return err
	}
	for _, found := range labelled { // an image has the label of its parent, or one of its own
		held[found.ParentID] = true
		held[found.ID] = held[found.ID] || isNamed(found)
	}
	var failed []error
	for _, one := range all {
		if id, _, _ := strings.Cut(on, "@"); one.Engine == on || one.Engine == id { // as earlier releases recorded it
			failed = append(failed, do(inspectCommit(one, labelled, held)))
		}
	}
	return errors.Join(failed...)
}

// inspectCommit finds the image of a commit. Someone else's image may have its label too, if it was made of that image or
// loaded from a copy of it.
func inspectCommit(of commit, labelled []image.Summary, held map[string]bool) idleCommit {
	left := idleCommit{commit: of}
	for _, found := range labelled {
		if found.Labels[labelCommit] == of.Key {
			left.held = left.held || left.image != "" || held[found.ID]
			left.image = found.ID
		}
	}
	return left
}

// isNamed tells whether an image has a name. Docker's API before 1.43 lists "<none>:<none>" for one without.
func isNamed(found image.Summary) bool {
	return slices.ContainsFunc(found.RepoTags, func(tag string) bool { return tag != "<none>:<none>" })
}
