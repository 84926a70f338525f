package engine_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/image"

	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// TestDiscard: an image that was on the host before, under a name, is not taken away with a tenant's copy of it.
func TestDiscard(t *testing.T) {
	for name, c := range map[string]struct {
		tags    []string
		fail    error
		removed bool
	}{
		"ours alone":       {removed: true},
		"the operator's":   {tags: []string{"busybox:latest"}},
		"docker refuses":   {fail: enginetest.ErrAway},
		"not there at all": {tags: []string{"gone"}},
	} {
		docker := enginetest.New()
		if c.tags == nil || c.tags[0] != "gone" {
			docker.Images[enginetest.Loaded] = image.InspectResponse{ID: enginetest.Loaded, RepoTags: c.tags}
		}
		docker.Fail["ImageRemove"] = c.fail
		err := engine.Discard(docker, enginetest.Loaded)
		if !errors.Is(err, c.fail) {
			t.Errorf("%s: got %v", name, err)
		}
		if removed := c.fail == nil && slices.Contains(docker.Called(), "ImageRemove "+enginetest.Loaded); removed != c.removed {
			t.Errorf("%s: removed: %t", name, removed)
		}
	}
}
