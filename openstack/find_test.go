package openstack

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
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

func TestImageName(t *testing.T) {
	t.Parallel()
	for docker, test := range map[string]struct{ glance, back string }{
		"nginx":                           {"nginx", "nginx"},
		"nginx:1":                         {"nginx@1", "nginx:1"},
		"nginx:latest":                    {"nginx", "nginx"},
		"docker.io/library/nginx:1":       {"docker.io/library/nginx@1", "docker.io/library/nginx:1"},
		"host:5000/site/web:1":            {"host@5000/site/web@1", "host:5000/site/web:1"},
		"host:5000/site/web":              {"host@5000/site/web", "host:5000/site/web"},
		"web@sha256:0123abcd":             {"web@sha256@0123abcd", "web@sha256:0123abcd"},
		"host:5000/web:1@sha256:0123abcd": {"host@5000/web@1@sha256@0123abcd", "host:5000/web:1@sha256:0123abcd"},
		"[::1]:5000/web:1":                {"[@@1]@5000/web@1", "[::1]:5000/web:1"},
		"nginx@1":                         {"nginx@1", "nginx:1"},
		":latest":                         {"@latest", ":latest"},
		"":                                {"", ""},
	} {
		got := ImageName(docker)
		if back := DockerName(got); got != test.glance || back != test.back {
			t.Errorf("%q is %q in Glance and %q again in Docker, want %q and %q", docker, got, back, test.glance, test.back)
		}
	}
}

// TestFindImageByDockersName: nginx:1 is both what ndock calls nginx@1 today and what it called nginx:1 before.
func TestFindImageByDockersName(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	want := map[string]string{}
	for _, name := range []string{"old:1", "old:latest", "new@1", "new", "host@5000/site/web@1", "web@sha256@0123abcd"} {
		want[name] = fake.Add(fakecloud.Image, name)
	}
	for typed, name := range map[string]string{
		"old:1": "old:1", "old:latest": "old:latest", "new:1": "new@1", "new@1": "new@1", "new:latest": "new", "new": "new",
		"host:5000/site/web:1": "host@5000/site/web@1", "web@sha256:0123abcd": "web@sha256@0123abcd",
	} {
		if found, err := cloud.Image(t.Context(), typed); err != nil || found.ID != want[name] {
			t.Errorf("%q is %q (%v), want %q, %s", typed, found.ID, err, want[name], name)
		}
	}
	for _, missing := range []string{"new:2", "old", "old@1"} {
		_, err := cloud.Image(t.Context(), missing)
		openstacktest.WantError(t, err, fmt.Sprintf("image %q: there is none of that name or id", missing))
	}
}

// TestFindImageOfOldAndNewName: an image that an earlier ndock has pushed is never taken for the one pushed since.
func TestFindImageOfOldAndNewName(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	before, since := fake.Add(fakecloud.Image, "web:1"), fake.Add(fakecloud.Image, "web@1")
	_, err := cloud.Image(t.Context(), "web:1")
	openstacktest.WantError(t, err, fmt.Sprintf(`image "web:1": 2 have that name: %s, %s`, before, since))
	if found, err := cloud.Image(t.Context(), "web@1"); err != nil || found.ID != since {
		t.Errorf("web@1 is %q (%v), want %q", found.ID, err, since)
	}
}

// TestFindImageOfNoMachine: nginx:latest is not the virtual machine's disk that is called nginx.
func TestFindImageOfNoMachine(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	disk := fake.Add(fakecloud.Image, "nginx", fakecloud.Object{"container_format": "bare"})
	_, err := cloud.Image(t.Context(), "nginx:latest")
	openstacktest.WantError(t, err, `image "nginx:latest": there is none of that name or id`)
	if found, err := cloud.Image(t.Context(), "nginx"); err != nil || found.ID != disk {
		t.Errorf("nginx is %q (%v), want %q", found.ID, err, disk)
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
				openstacktest.WantError(t, err, fmt.Sprintf("%s %q: there is none of that name or id", kind, missing))
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("%v is not ErrNotFound", err)
				}
			}

			for _, name := range []string{"detail", "..", "a/b?c=d#e%2f", id + "?x"} { // which mean something in a URL
				_, err := find(cloud, t.Context(), name)
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("%q: %v, want ErrNotFound", name, err)
				}
				named := fake.Add(kind, name)
				if found, err := find(cloud, t.Context(), name); err != nil || found != named {
					t.Errorf("%q is %q (%v), want %q", name, found, err, named)
				}
			}

			first, second := fake.Add(kind, "twin"), fake.Add(kind, "twin")
			_, err := find(cloud, t.Context(), "twin")
			openstacktest.WantError(t, err, fmt.Sprintf("%s %q: 2 have that name: %s, %s", kind, "twin", first, second))
			openstacktest.WantHint(t, err, "name it by its id")
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
