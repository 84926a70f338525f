package openstack

import (
	"slices"
	"strings"
	"testing"

	"ndock/openstack/fakecloud"
)

func asAdministrator(t *testing.T) (*fakecloud.Cloud, *Cloud) {
	t.Helper()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	cloud, err := logIn(t, openrc(fake, map[string]string{"OS_USERNAME": "admin"}))
	if err != nil {
		t.Fatal(err)
	}
	return fake, cloud
}

func TestHolders(t *testing.T) {
	t.Parallel()
	fake, cloud := asAdministrator(t)
	held := fakecloud.Object{"resources": fakecloud.Object{"VCPU": 1}}
	id := fake.Add(fakecloud.Hypervisor, "kvm-1", fakecloud.Object{"allocations": fakecloud.Object{"b": held, "a": held}})
	if got, err := cloud.Holders(t.Context(), id); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := cloud.Holders(t.Context(), "of-no-one"); err != nil || len(got) > 0 {
		t.Errorf("of one that Placement does not know: got %q, %v", got, err)
	}
	elsewhere, err := logIn(t, openrc(fake, map[string]string{"OS_USERNAME": "admin", "OS_PLACEMENT_ENDPOINT_OVERRIDE": strings.TrimSuffix(fake.URL, "/v3") + "/elsewhere"}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := elsewhere.Holders(t.Context(), id); err == nil {
		t.Errorf("where Placement is not: got %q and no error", got)
	}
	_, tenant := newFake(t)
	if _, err := tenant.Holders(t.Context(), id); !Refused(err) || !strings.Contains(err.Error(), "placement:resource_providers:list") {
		t.Errorf("a tenant got %v", err)
	}
}

func TestRemoveTraits(t *testing.T) {
	t.Parallel()
	fake, cloud := asAdministrator(t)
	id := fake.Add(fakecloud.Hypervisor, "kvm-1", fakecloud.Object{"traits": []string{"CUSTOM_A", "CUSTOM_NDOCK", "CUSTOM_NDOCK_RUNTIME_GVISOR", "CUSTOM_NDOCKS", "HW_CPU_X86_AVX"}, "busy": true})
	removed, err := cloud.RemoveTraits(t.Context(), id, []string{"CUSTOM_NDOCK", "CUSTOM_NDOCK_DISK_QUOTA", "CUSTOM_NDOCK_RUNTIME_*"})
	if err != nil || !slices.Equal(removed, []string{"CUSTOM_NDOCK", "CUSTOM_NDOCK_RUNTIME_GVISOR"}) {
		t.Errorf("removed %q, %v", removed, err)
	}
	traits := func() any {
		all := fake.All(fakecloud.Hypervisor)
		return all[len(all)-1]["traits"]
	}
	if got, ok := traits().([]string); !ok || !slices.Equal(got, []string{"CUSTOM_A", "CUSTOM_NDOCKS", "HW_CPU_X86_AVX"}) {
		t.Errorf("left %v", traits())
	}
	if removed, err = cloud.RemoveTraits(t.Context(), id, []string{"CUSTOM_NDOCK"}); err != nil || len(removed) > 0 {
		t.Errorf("again: removed %q, %v", removed, err)
	}
	if removed, err = cloud.RemoveTraits(t.Context(), "of-no-one", []string{"CUSTOM_NDOCK"}); err != nil || len(removed) > 0 {
		t.Errorf("of one that Placement does not know: removed %q, %v", removed, err)
	}
}
