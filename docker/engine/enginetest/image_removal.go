package enginetest

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
)

func (e *Engine) isParent(id string) bool {
	for _, found := range e.Images {
		if e.Parents[found.ID] == id {
			return true
		}
	}
	return false
}

// isUsed tells whether a container is made of the image: any, or only one that runs.
func (e *Engine) isUsed(id string, running bool) bool {
	for _, user := range e.Containers {
		if user.Image == id && (!running || user.State.Running) {
			return true
		}
	}
	return false
}

func inUse(ref string) error {
	return fmt.Errorf("conflict: unable to remove %s, which is used: %w", ref, errdefs.ErrConflict)
}

// ImageRemove takes only the name away from an image that has another, and by force also from one whose container runs.
func (e *Engine) ImageRemove(_ context.Context, ref string, options image.RemoveOptions) ([]image.DeleteResponse, error) {
	if err := e.did("ImageRemove", ref); err != nil {
		return nil, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	found, err := e.image(ref)
	if err != nil {
		return nil, err
	}
	byName, last := ref != found.ID, len(found.RepoTags) <= 1
	stays := e.isParent(found.ID) || e.isUsed(found.ID, options.Force)
	switch {
	case byName && last && !options.Force && e.isUsed(found.ID, false), !byName && (stays || !last && !options.Force):
		return nil, inUse(ref)
	case byName && (stays || !last):
		e.untag(ref, found)
		return []image.DeleteResponse{{Untagged: ref}}, nil
	}
	return e.removeImage(found.ID, options.PruneChildren), nil
}

// removeImage removes an image with its names. It goes on with the parents, unless told not to, up to one that has a name,
// another child or a container.
func (e *Engine) removeImage(id string, parents bool) (gone []image.DeleteResponse) {
	for {
		e.forget(id)
		gone = append(gone, image.DeleteResponse{Deleted: id})
		id = e.Parents[id]
		if !parents || id == "" || len(e.names(id)) > 0 || e.isUsed(id, false) || e.isParent(id) {
			return gone
		}
	}
}

func (e *Engine) forget(id string) {
	delete(e.Images, id)
	for name, found := range e.Images {
		if found.ID == id {
			delete(e.Images, name)
		}
	}
}
