package openstack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

// asAdmin logs the administrator in.
func asAdmin(t *testing.T, fake *fakecloud.Cloud) *Cloud {
	t.Helper()
	cloud, err := logIn(t, openrc(fake, map[string]string{"OS_USERNAME": "admin"}))
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

// TestSession: Keystone says as much of a token that was given.
func TestSession(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	given, err := logIn(t, openrc(fake, map[string]string{"OS_USERNAME": "", "OS_PASSWORD": "", "OS_PROJECT_NAME": "", "OS_TOKEN": fake.Token()}))
	if err != nil {
		t.Fatal(err)
	}
	for name, session := range map[string]Session{"made": cloud.Session(), "given": given.Session()} {
		if session.User != "demo" || session.Project != "demo" || session.ProjectID != fakecloud.ProjectID || !slices.Equal(session.Roles, []string{"member", "reader"}) {
			t.Errorf("the token that was %s is of %+v", name, session)
		}
	}
	if session := asAdmin(t, fake).Session(); !slices.Contains(session.Roles, "admin") {
		t.Errorf("the administrator is %+v", session)
	}
}

// TestReserved: Glance is asked to make an image, and makes none.
func TestReserved(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	taken := fake.Add(fakecloud.Image, "web")
	for _, test := range []struct {
		fault fakecloud.Fault
		want  Reserved
	}{
		{"", Reserved{Layered: true}},
		{fakecloud.TraitsReserved, Reserved{Layered: true, Properties: []string{propertyTrait}}},
		{fakecloud.DockerReserved, Reserved{Properties: []string{
			propertyDigest, propertyID, propertyLayer, propertyLayerDiffID, propertyLayerType, propertyLayers, propertyManifestType,
			propertyStored, propertySubject, propertyTaggedAt, propertyTags, propertySize, propertyUntaggedAt, propertyTrait,
		}}},
	} {
		if test.fault != "" {
			breaks(t, fake, test.fault)
		}
		if got, err := cloud.Reserved(t.Context(), taken); err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %v, %v, want %v", test.fault, got, err, test.want)
		}
	}
	if there := fake.All(fakecloud.Image); len(there) != 1 || there[0]["name"] != "web" {
		t.Errorf("Glance has %v", there)
	}
	breaks(t, fake, fakecloud.GlanceAway)
	_, err := cloud.Reserved(t.Context(), taken)
	openstacktest.WantError(t, err, "try to make an image with an id that is taken: No server is available")
}

// TestReservedWhereNothingIsTaken: a Glance that makes the image all the same has none afterwards.
func TestReservedWhereNothingIsTaken(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	_, err := cloud.Reserved(t.Context(), "10000000-0000-4000-8000-000000000099")
	openstacktest.WantError(t, err, "try to make an image with an id that is taken: Glance made one")
	wantNothingLeft(t, fake)
}

func TestImageQuota(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	if quota, err := cloud.ImageQuota(t.Context()); quota != nil || err != nil {
		t.Errorf("got %v, %v, and Glance has none", quota, err)
	}
	breaks(t, fake, fakecloud.SizeLimited)
	if quota, err := cloud.ImageQuota(t.Context()); err != nil || *quota != (Quota{1000, 7}) {
		t.Errorf("got %v, %v", quota, err)
	}
	breaks(t, fake, fakecloud.GlanceAway)
	_, err := cloud.ImageQuota(t.Context())
	openstacktest.WantError(t, err, "look at Glance's quota: No server is available")
}

// TestLocated: where Glance says where an image's bytes are, users may say so, too.
func TestLocated(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Image, "a", fakecloud.Object{"locations": []any{}})
	fake.Add(fakecloud.Image, "b")
	if images, err := cloud.Images(t.Context()); err != nil || !images[0].Located || images[1].Located {
		t.Errorf("got %+v, %v", images, err)
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for service, path := range map[string]string{"image": "/image/", "compute": "/compute/v2.1/", "network": "/network/", "placement": "/placement/"} {
		url, err := cloud.Reach(t.Context(), service)
		if want := strings.TrimSuffix(fake.URL, "/v3") + path; err != nil || url != want {
			t.Errorf("%s is at %q (%v), want %q", service, url, err, want)
		}
	}
	_, err := cloud.Reach(t.Context(), "baremetal")
	openstacktest.WantError(t, err, "find the public endpoint of type baremetal in region any: the catalogue has no such endpoint")
	if !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("%v is not ErrNoEndpoint", err)
	}
	breaks(t, fake, fakecloud.GlanceAway)
	_, err = cloud.Reach(t.Context(), "image")
	openstacktest.WantError(t, err, "/image/: No server is available to handle this request. (req-")
}

func TestFormats(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	formats, err := cloud.Formats(t.Context())
	if err != nil || !slices.Equal(formats.Container, []string{"bare", "ovf", "docker"}) || !slices.Equal(formats.Disk, []string{"raw", "qcow2"}) {
		t.Errorf("%+v (%v)", formats, err)
	}
	breaks(t, fake, fakecloud.TokensExpired)
	_, err = cloud.Formats(t.Context())
	openstacktest.WantError(t, err, "ask Glance for its formats: The request you have made requires authentication. (req-")
}

func TestQuota(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "web")
	servers, err := cloud.ServerQuota(t.Context())
	if want := (ServerQuota{Instances: Quota{10, 1}, Cores: Quota{20, 1}, RAM: Quota{-1, 64}}); err != nil || servers != want {
		t.Errorf("%+v (%v), want %+v", servers, err, want)
	}
	ports, err := cloud.PortQuota(t.Context())
	if want := (Quota{500, 2}); err != nil || ports != want {
		t.Errorf("%+v (%v), want %+v", ports, err, want)
	}
	for quota, fits := range map[Quota]bool{{10, 9}: true, {10, 10}: false, {10, 11}: false, {-1, 99}: true, {0, 0}: false} {
		if quota.Fits(1) != fits {
			t.Errorf("%+v has room for one more: %t", quota, !fits)
		}
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Network, "outside", fakecloud.Object{"router:external": true, "shared": false, "status": "DOWN", "subnets": []string{}})
	networks, err := cloud.Networks(t.Context())
	if err != nil || len(networks) != 2 {
		t.Fatalf("%+v (%v), want two", networks, err)
	}
	for i, want := range []Network{
		{Name: "private", Project: fakecloud.ProjectID, Shared: true, Up: true, Subnets: 1},
		{Name: "outside", Project: fakecloud.ProjectID, External: true},
	} {
		if want.ID = networks[i].ID; networks[i] != want {
			t.Errorf("%+v, want %+v", networks[i], want)
		}
	}
}

// TestAgents: those of OVN too; and a tenant is told of none.
func TestAgents(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	agents, err := cloud.Agents(t.Context())
	if err != nil || len(agents) != 0 {
		t.Errorf("a tenant is told of %+v (%v)", agents, err)
	}
	agents, err = asAdmin(t, fake).Agents(t.Context())
	if err != nil || len(agents) != 1 || agents[0].Host != "compute-1" || agents[0].Program != "ovn-controller" || !agents[0].Alive {
		t.Errorf("the administrator is told of %+v (%v)", agents, err)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	cloud, err := openWith(t, openrc(fake, nil), Selection{Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	breaks(t, fake, fakecloud.NeutronHangs)
	_, err = cloud.Networks(t.Context())
	var slow interface{ Timeout() bool }
	if !errors.As(err, &slow) || !slow.Timeout() {
		t.Errorf("error %v, want that it took too long", err)
	}
}

func TestRepositoryOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"web": "web", "web@1": "web", "web:1": "web", "host@5000/web": "host@5000/web", "host@5000/site/web@1": "host@5000/site/web",
		"host:5000/web:1": "host:5000/web", "web@sha256@0123": "web", "web@sha256:0123": "web", "web@1@sha256@0123": "web",
		"ci.tar@web@1": "ci.tar@web", "ci.tar:web:1": "ci.tar:web",
	} {
		if got := repositoryOf(name); got != want {
			t.Errorf("%q is of repository %q, want %q", name, got, want)
		}
	}
}

// TestPrunePatterns: a pattern is of Glance's names or of Docker's, and never of more than it says.
func TestPrunePatterns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		"ci/*":        {"ci/web@1", "ci/web:1", "ci/web", "ci/db@1"},
		"ci/web:1":    {"ci/web@1", "ci/web:1"},
		"ci/web@1":    {"ci/web@1"},
		"ci/web:*":    {"ci/web@1", "ci/web:1", "ci/web"},
		"ci/*:1":      {"ci/web@1", "ci/web:1", "ci/db@1"},
		"ci/*:latest": {"ci/web"},
		"*:latest":    {"ci/web", "host@5000/web"},
		"host:5000/*": {"host@5000/web"},
	} {
		options := PruneOptions{Names: []string{pattern}}
		var got []string
		for _, name := range []string{"ci/web@1", "ci/web:1", "ci/web", "ci/db@1", "host@5000/web"} {
			if options.named(name) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is a pattern of %q, want %q", pattern, got, want)
		}
	}
}
