package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
)

// UsedImages returns the ids of the images that containers are made of. Docker guards only the last name of such an image, and two
// images of Glance with the same content are one of Docker's.
func UsedImages(ctx context.Context, engine Containers) (map[string]bool, error) {
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, one := range all {
		used[one.ImageID] = true
	}
	return used, nil
}

// removeLimit is how long RemoveUnused may take: less than the shim waits, so that it hears what went wrong before.
const removeLimit = 50 * time.Second

// RemoveUnused removes an image unless something else still uses it, or it has a name: whoever gave it that, Docker
// would take the name away with the id. Its parents go too, as far as they have no name and are not used. It runs also
// when the request is over. gone tells whether the image is not there any more.
func RemoveUnused(engine Images, id string) (gone bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	found, err := engine.ImageInspect(ctx, id)
	if err == nil && len(found.RepoTags) > 0 {
		return false, nil
	}
	if err == nil {
		_, err = engine.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: true})
	}
	if errdefs.IsConflict(err) { // it, or only one of its parents, is used
		_, err = engine.ImageInspect(ctx, id)
		if err == nil {
			return false, nil
		}
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("remove image %s: %w", id, err)
	}
	return true, nil
}

// Discard is RemoveUnused for those to whom it is the same whether the image is gone.
func Discard(engine Images, id string) error {
	_, err := RemoveUnused(engine, id)
	return err
}
