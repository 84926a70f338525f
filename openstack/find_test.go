package openstack

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ndock/openstack/fakecloud"
)

func TestFindImage(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for _, name := range []string{"web", "a,b", `say "hi"`, "größe", "nginx:1.27", "two  spaces"} {
		id := fake.Add(fakecloud.Image, name)
		for _, nameOrID := range []string{name, id} {
			if found, err := cloud.Image(t.Context(), nameOrID); err != nil || found.ID != id {
				t.Errorf("%q is %q (%v), want %q", nameOrID, found.ID, err, id)
			}
		}
	}
}

// finders are all that look for something by its name.
var finders = map[fakecloud.Kind]func(c *Cloud, ctx context.Context, nameOrID string) (id string, err error){
	fakecloud.Image: func(c *Cloud, ctx context.Context, nameOrID string) (string, error) {
		found, err := c.Image(ctx, nameOrID)
		return found.ID, err
	},
	fakecloud.Server: func(c *Cloud, ctx context.Context, nameOrID string) (string, error) {
		found, err := c.Server(ctx, nameOrID)
		return found.ID, err
	},
	fakecloud.Flavor: (*Cloud).flavor,
	fakecloud.Network: func(c *Cloud, ctx context.Context, nameOrID string) (string, error) {
		found, err := c.bootNetworks(ctx, []string{nameOrID})
		if err != nil {
			return "", err
		}
		return found[0].UUID, nil
	},
}

func TestFind(t *testing.T) {
	t.Parallel()
	for kind, find := range finders {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			id := fake.Add(kind, "one")
			for _, nameOrID := range []string{"one", id} {
				if found, err := find(cloud, t.Context(), nameOrID); err != nil || found != id {
					t.Errorf("%q is %q (%v), want %q", nameOrID, found, err, id)
				}
			}

			for _, missing := range []string{"on", "oneone", "ONE", "50000000-0000-4000-8000-000000000001", ""} {
				_, err := find(cloud, t.Context(), missing)
				wantError(t, err, fmt.Sprintf("%s %q: there is none of that name or id", kind, missing))
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("%v is not ErrNotFound", err)
				}
			}

			first, second := fake.Add(kind, "twin"), fake.Add(kind, "twin")
			_, err := find(cloud, t.Context(), "twin")
			wantError(t, err, fmt.Sprintf("%s %q: 2 have that name: %s, %s", kind, "twin", first, second))
			wantHint(t, err, "name it by its id")
			if found, err := find(cloud, t.Context(), second); err != nil || found != second {
				t.Errorf("%q is %q (%v), want itself", second, found, err)
			}
		})
	}
}

// TestNameThatIsAnotherID: an id goes before a name.
func TestNameThatIsAnotherID(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	id := fake.Add(fakecloud.Image, "web")
	fake.Add(fakecloud.Image, id)
	if found, err := cloud.Image(t.Context(), id); err != nil || found.ID != id {
		t.Errorf("%q is %q (%v), want itself", id, found.ID, err)
	}
}

func TestImagesOnManyPages(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for n := range 7 {
		fake.Add(fakecloud.Image, fmt.Sprintf("image-%d", 6-n))
	}
	fake.Add(fakecloud.Image, "a virtual machine's", fakecloud.Object{"container_format": "bare"})
	images, err := cloud.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != 7 {
		t.Fatalf("%d images, want 7", len(images))
	}
	for n, image := range images {
		if want := fmt.Sprintf("image-%d", n); image.Name != want {
			t.Errorf("image %d is %q, want %q", n, image.Name, want)
		}
	}
}
