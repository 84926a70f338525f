package enginetest

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// image looks an image up by name or id.
func (e *Engine) image(ref string) (image.InspectResponse, error) {
	found, ok := e.Images[ref]
	if !ok && ref != "" {
		found, ok = e.otherwise(ref)
	}
	if !ok {
		return image.InspectResponse{}, fmt.Errorf("no such image: %s: %w", ref, errdefs.ErrNotFound)
	}
	found.RepoTags = e.names(found.ID)
	return found, nil
}

// otherwise finds an image that was put here by its name alone, or by its id alone.
func (e *Engine) otherwise(ref string) (image.InspectResponse, bool) {
	for _, key := range slices.Sorted(maps.Keys(e.Images)) {
		if found := e.Images[key]; found.ID == ref || slices.Contains(found.RepoTags, ref) {
			return found, true
		}
	}
	return image.InspectResponse{}, false
}

// names returns all names of an image.
func (e *Engine) names(id string) []string {
	var all []string
	for name, found := range e.Images {
		if found.ID != id {
			continue
		}
		all = append(all, found.RepoTags...)
		if name != id {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (e *Engine) ImageInspect(_ context.Context, id string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	if err := e.did("ImageInspect", id); err != nil {
		return image.InspectResponse{}, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	return e.image(id)
}

// ImageTag also takes the name away from the image that had it, as the real one.
func (e *Engine) ImageTag(_ context.Context, source, target string) error {
	if err := e.did("ImageTag", target); err != nil {
		return err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	found, err := e.image(source)
	if err != nil {
		return err
	}
	if old, err := e.image(target); err == nil {
		e.untag(target, old)
	}
	found.RepoTags, found.Metadata.LastTagTime = nil, time.Now()
	e.Images[target] = found
	return nil
}

// untag takes a name away from an image, which stays.
func (e *Engine) untag(name string, from image.InspectResponse) {
	delete(e.Images, name)
	from.RepoTags = slices.DeleteFunc(from.RepoTags, func(tag string) bool { return tag == name })
	for key, found := range e.Images {
		if found.ID == from.ID {
			found.RepoTags = nil
			e.Images[key] = found
		}
	}
	e.Images[from.ID] = from
}

func (e *Engine) ImageList(_ context.Context, options image.ListOptions) ([]image.Summary, error) {
	if err := e.did("ImageList", ""); err != nil {
		return nil, err
	}
	e.Mu.Lock()
	defer e.Mu.Unlock()
	var all []image.Summary
	for _, id := range e.imageIDs() {
		found, err := e.image(id)
		if err != nil {
			return nil, err
		}
		if one := e.summary(found, options.Filters); options.All || len(found.RepoTags) > 0 || !e.isParent(id) {
			all = append(all, one...)
		}
	}
	return all, nil
}

func (e *Engine) imageIDs() []string {
	var all []string
	for _, found := range e.Images {
		all = append(all, found.ID)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// summary is an image as a list shows it, or nothing if the filters leave it out.
func (e *Engine) summary(found image.InspectResponse, by filters.Args) []image.Summary {
	labels := map[string]string{}
	if found.Config != nil && found.Config.Labels != nil {
		labels = found.Config.Labels
	}
	tags := slices.DeleteFunc(slices.Clone(found.RepoTags), func(tag string) bool { return !isReference(by, tag) })
	dangling := len(found.RepoTags) == 0 && !e.isParent(found.ID)
	switch {
	case !by.MatchKVList("label", labels), by.Contains("reference") && len(tags) == 0:
		return nil
	case by.Contains("dangling") && !by.ExactMatch("dangling", fmt.Sprint(dangling)):
		return nil
	}
	if len(tags) == 0 && versions.LessThan(e.API, "1.43") {
		tags = []string{"<none>:<none>"}
	}
	return []image.Summary{{ID: found.ID, ParentID: e.Parents[found.ID], RepoTags: tags, Labels: labels, Size: found.Size}}
}

func isReference(by filters.Args, tag string) bool {
	patterns := by.Get("reference")
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
		matches, _ := path.Match(pattern, tag)
		return matches
	})
}
