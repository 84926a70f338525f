package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
)

// ageImages removes the images of Glance that no container uses and none has begun to use for so long. When one was
// used last is when it got its name last: creating a container gives it that anew.
func (s *Server) ageImages(_ http.ResponseWriter, r *http.Request) (any, error) {
	var limits agent.CachedImages
	if err := read(r, &limits); err != nil {
		return nil, err
	}
	oldest := time.Now().Add(-time.Duration(limits.UnusedSeconds) * time.Second)
	named := filters.NewArgs(filters.Arg("reference", imageTag("*")))
	found, err := s.docker.ImageList(r.Context(), image.ListOptions{Filters: named})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	used, err := s.usedImages(r.Context())
	if err != nil {
		return nil, err
	}
	for _, summary := range found {
		if used[summary.ID] {
			continue
		}
		for _, tag := range summary.RepoTags {
			glanceID, ours := strings.CutPrefix(tag, imageTag(""))
			if !ours {
				continue
			}
			if err := s.ageImage(r.Context(), glanceID, oldest); err != nil {
				return nil, err
			}
		}
	}
	return struct{}{}, nil
}

// usedImages are those that containers are made of. Docker guards only the last name of such an image, and two images
// of Glance with the same content are one of Docker's.
func (s *Server) usedImages(ctx context.Context) (map[string]bool, error) {
	all, err := s.docker.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, one := range all {
		used[one.ImageID] = true
	}
	return used, nil
}

func (s *Server) ageImage(ctx context.Context, glanceID string, oldest time.Time) error {
	release, err := s.images.acquire(ctx, glanceID)
	if err != nil {
		return err
	}
	defer release()
	found, err := s.docker.ImageInspect(ctx, imageTag(glanceID))
	if errdefs.IsNotFound(err) || err == nil && found.Metadata.LastTagTime.After(oldest) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up image %s: %w", glanceID, err)
	}
	return s.dropImage(ctx, glanceID, false)
}

// deleteImage takes away the name of an image that was loaded for one server only: the container keeps the rest.
func (s *Server) deleteImage(_ http.ResponseWriter, r *http.Request) (any, error) {
	glanceID := r.PathValue("id")
	if present, err := s.present(r.Context(), glanceID); err != nil || !present {
		return struct{}{}, err
	}
	return struct{}{}, s.dropImage(r.Context(), glanceID, true)
}

// dropImage leaves an image alone that a container uses, or, forced, takes its name from it.
func (s *Server) dropImage(ctx context.Context, glanceID string, force bool) error {
	_, err := s.docker.ImageRemove(ctx, imageTag(glanceID), image.RemoveOptions{Force: force})
	switch {
	case err == nil:
		s.log.Info("image removed", "image", glanceID)
	case errdefs.IsNotFound(err), errdefs.IsConflict(err):
	default:
		return fmt.Errorf("remove image %s: %w", glanceID, err)
	}
	return nil
}
