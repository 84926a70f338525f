package openstack

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ndock/openstack/fakecloud"
)

// TestDeleteImages: one that cannot be deleted keeps none of the others.
func TestDeleteImages(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	images := []Image{
		{ID: fake.Add(fakecloud.Image, "a"), Name: "a"},
		{ID: fake.Add(fakecloud.Image, "safe", fakecloud.Object{"protected": true}), Name: "safe"},
		{ID: fake.Add(fakecloud.Image, "b"), Name: "b"},
	}
	deleted, err := cloud.DeleteImages(t.Context(), images)
	if len(deleted) != 2 || deleted[0].Name != "a" || deleted[1].Name != "b" {
		t.Errorf("%v were deleted", deleted)
	}
	if err == nil || !strings.Contains(err.Error(), images[1].ID) {
		t.Errorf("the failure is %v", err)
	}
}

// TestDeleteImagesIsInterrupted: then no other is tried.
func TestDeleteImagesIsInterrupted(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	deleted, err := cloud.DeleteImages(ctx, []Image{{ID: fake.Add(fakecloud.Image, "a")}, {ID: fake.Add(fakecloud.Image, "b")}})
	if len(deleted) != 0 || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v were deleted, %v", deleted, err)
	}
}
