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

// ImageRemove takes only the name away from an image that has another. Otherwise it goes on with the parents, unless told
// not to, as far as they have no name and nobody uses them. As with the real one, a parent with another child is a conflict:
// the image itself is gone by then.
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
	switch byName, used := ref != found.ID, e.isUsed(found.ID, options.Force); {
	case byName && len(found.RepoTags) > 1, byName && options.Force && e.isUsed(found.ID, false):
		e.untag(ref)
		return []image.DeleteResponse{{Untagged: ref}}, nil
	case used, e.isParent(found.ID), len(found.RepoTags) > 1 && !options.Force:
		return nil, inUse(ref)
	}
	return e.removeImage(found.ID, options.PruneChildren)
}

// removeImage removes an image with its names, and parents.
func (e *Engine) removeImage(id string, parents bool) ([]image.DeleteResponse, error) {
	e.forget(id)
	gone := []image.DeleteResponse{{Deleted: id}}
	for parent := e.Parents[id]; parents && parent != "" && len(e.names(parent)) == 0 && !e.isUsed(parent, false); parent = e.Parents[parent] {
		if e.isParent(parent) {
			return nil, inUse(parent)
		}
		e.forget(parent)
		gone = append(gone, image.DeleteResponse{Deleted: parent})
	}
	return gone, nil
}

func (e *Engine) forget(id string) {
	delete(e.Images, id)
	for name, found := range e.Images {
		if found.ID == id {
			delete(e.Images, name)
		}
	}
}
