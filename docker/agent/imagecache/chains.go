package imagecache

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"ndock/docker/engine"
)

// chains are the layers that Docker Engine has. It finds each by its chain id, which names it with all that are below it.
type chains struct {
	engine Engine
	mu     sync.Mutex
	images map[string][]string // by id, which says what is in an image
}

// list returns the chain ids of all layers of all images of an engine that says this of itself.
func (c *chains) list(ctx context.Context, info system.Info) (map[string]bool, error) {
	all := map[string]bool{}
	if engine.InContainerd(info) {
		return all, nil
	}
	found, err := c.engine.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.images
	c.images = map[string][]string{}
	for _, one := range found {
		ids, ok := known[one.ID]
		if !ok {
			ids, err = c.of(ctx, one.ID)
		}
		switch {
		case errdefs.IsNotFound(err): // it is gone meanwhile
			err = nil
			continue
		case err != nil:
			return nil, fmt.Errorf("look up image %s: %w", one.ID, err)
		}
		c.images[one.ID] = ids
		for _, id := range ids {
			all[id] = true
		}
	}
	return all, nil
}

// of returns the chain ids of an image's layers.
func (c *chains) of(ctx context.Context, id string) ([]string, error) {
	found, err := c.engine.ImageInspect(ctx, id)
	if err != nil {
		return nil, err
	}
	var diffIDs []digest.Digest
	for _, one := range found.RootFS.Layers {
		diffIDs = append(diffIDs, digest.Digest(one))
	}
	var ids []string
	for _, chain := range identity.ChainIDs(diffIDs) {
		ids = append(ids, string(chain))
	}
	return ids, nil
}
