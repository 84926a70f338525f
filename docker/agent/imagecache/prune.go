package imagecache

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent/naming"
	"ndock/docker/engine"
)

// Prune removes the images of Glance that no container uses, if none was created from them for this long. What counts is the
// time of the last tag: creating a container tags the image again. It returns how many it has removed.
func (c *Cache) Prune(ctx context.Context, unused time.Duration) (removed int, err error) {
	oldest := time.Now().Add(-unused)
	named := filters.NewArgs(filters.Arg("reference", naming.ImageTag("*")))
	found, err := c.engine.ImageList(ctx, image.ListOptions{Filters: named})
	if err != nil {
		return 0, fmt.Errorf("list images: %w", err)
	}
	used, err := engine.UsedImages(ctx, c.engine)
	if err != nil {
		return 0, err
	}
	for _, summary := range found {
		if used[summary.ID] {
			continue
		}
		for _, tag := range summary.RepoTags {
			glanceID, ours := naming.GlanceID(tag)
			if !ours {
				continue
			}
			gone, err := c.prune(ctx, glanceID, oldest)
			if err != nil {
				return removed, err
			}
			if gone {
				removed++
			}
		}
	}
	return removed, nil
}

func (c *Cache) prune(ctx context.Context, glanceID string, oldest time.Time) (gone bool, err error) {
	release, err := c.locks.Acquire(ctx, glanceID)
	if err != nil {
		return false, err
	}
	defer release()
	found, err := c.engine.ImageInspect(ctx, naming.ImageTag(glanceID))
	if errdefs.IsNotFound(err) || err == nil && found.Metadata.LastTagTime.After(oldest) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up image %s: %w", glanceID, err)
	}
	return c.remove(ctx, glanceID, false)
}

// Delete untags an image that was loaded for one server only: the container keeps the layers.
func (c *Cache) Delete(ctx context.Context, glanceID string) error {
	if present, err := c.Has(ctx, glanceID); err != nil || !present {
		return err
	}
	_, err := c.remove(ctx, glanceID, true)
	return err
}

// remove removes an image unless a container uses it. With force such an image is untagged. Another name of the image stays,
// and the image with it.
func (c *Cache) remove(ctx context.Context, glanceID string, force bool) (gone bool, err error) {
	_, err = c.engine.ImageRemove(ctx, naming.ImageTag(glanceID), image.RemoveOptions{Force: force})
	switch {
	case err == nil:
		c.log.Info("image removed", "image", glanceID)
		return true, nil
	case errdefs.IsNotFound(err), errdefs.IsConflict(err):
		return false, nil
	}
	return false, fmt.Errorf("remove image %s: %w", glanceID, err)
}
