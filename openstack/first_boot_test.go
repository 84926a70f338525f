package openstack

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
)

// TestDemand: Placement is asked for what Nova would ask it for.
func TestDemand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flavor Flavor
		want   string
	}{
		"an ordinary one":      {Flavor{VCPUs: 1, RAM: 64, Disk: 5}, "limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK&resources=DISK_GB%3A5%2CMEMORY_MB%3A64%2CVCPU%3A1"},
		"no disk":              {Flavor{VCPUs: 1, RAM: 64}, "limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK&resources=MEMORY_MB%3A64%2CVCPU%3A1"},
		"nothing":              {Flavor{}, "limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK"},
		"dedicated processors": {Flavor{VCPUs: 2, Specs: map[string]string{"hw:cpu_policy": "dedicated"}}, "limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK&resources=PCPU%3A2"},
		"traits":               {Flavor{RAM: 1, Specs: map[string]string{"trait:A": "required", "trait:B": "forbidden", "quota:cpu_shares": "5"}}, "limit=1&required=%21B%2C%21COMPUTE_STATUS_DISABLED%2CA%2CCUSTOM_NDOCK&resources=MEMORY_MB%3A1"},
		"another amount":       {Flavor{VCPUs: 1, RAM: 1, Specs: map[string]string{"resources:VCPU": "0", "resources:PGPU": "1"}}, "limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK&resources=MEMORY_MB%3A1%2CPGPU%3A1"},
		"groups":               {Flavor{RAM: 1, Specs: map[string]string{"resources1:PGPU": "1", "trait1:A": "required"}}, "group_policy=none&limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK&required1=A&resources=MEMORY_MB%3A1&resources1=PGPU%3A1"},
		"groups apart":         {Flavor{RAM: 1, Specs: map[string]string{"resources_A:PGPU": "1", "group_policy": "isolate"}}, "group_policy=isolate&limit=1&required=%21COMPUTE_STATUS_DISABLED%2CCUSTOM_NDOCK&resources=MEMORY_MB%3A1&resources_A=PGPU%3A1"},
	} {
		if got := test.flavor.demand().Encode(); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, test.want)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	fake, cloud := asAdministrator(t)
	for _, test := range []struct {
		flavor Flavor
		want   bool
	}{
		{Flavor{RAM: 1}, true},
		{Flavor{RAM: 1, Disk: 101}, false},
		{Flavor{RAM: 1, Specs: map[string]string{"trait:CUSTOM_NOBODYS": "required"}}, false}, // which Placement has never heard of
	} {
		if got, err := cloud.Fits(t.Context(), test.flavor); got != test.want || err != nil {
			t.Errorf("%+v: %t, %v", test.flavor, got, err)
		}
	}
	fake.Remove(fakecloud.Hypervisor, "compute-1")
	if got, err := cloud.Fits(t.Context(), Flavor{RAM: 1}); got || err != nil {
		t.Errorf("without a host: %t, %v", got, err)
	}
	_, tenant := newFake(t)
	if _, err := tenant.Fits(t.Context(), Flavor{}); !Refused(err) {
		t.Errorf("a tenant is told %v", err)
	}
}

func TestComputeServices(t *testing.T) {
	t.Parallel()
	fake, cloud := asAdministrator(t)
	breaks(t, fake, fakecloud.HostUnmapped)
	got, err := cloud.ComputeServices(t.Context())
	if err != nil || !slices.Equal(got, []ComputeService{{Host: "compute-1", Up: true}, {Host: "compute-new", Up: true}}) {
		t.Errorf("got %+v, %v", got, err)
	}
	_, tenant := newFake(t)
	if _, err := tenant.ComputeServices(t.Context()); !Refused(err) {
		t.Errorf("a tenant is told %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	fake, cloud := asAdministrator(t)
	network := fake.All(fakecloud.Network)[0]["id"].(string)
	if got, err := cloud.Addresses(t.Context()); err != nil || len(got[network]) != 2 || got[network].Full() {
		t.Errorf("got %v, %v", got, err)
	}
	breaks(t, fake, fakecloud.AddressesUsed)
	if got, err := cloud.Addresses(t.Context()); err != nil || !got[network].Full() {
		t.Errorf("got %v, %v", got, err)
	}
	breaks(t, fake, fakecloud.TokensExpired)
	_, err := cloud.Addresses(t.Context())
	openstacktest.WantError(t, err, "list the networks' free addresses: ")
}

func TestNewestServers(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	for n := range 4 {
		fake.Add(fakecloud.Server, fmt.Sprintf("web-%d", n), fakecloud.Object{"status": "ERROR"})
	}
	fake.Add(fakecloud.Server, "up")
	got, err := cloud.NewestServers(t.Context(), "ERROR", 3) // Nova has the order; more than were asked for are left out
	if err != nil || len(got) != 3 || got[0].Name != "web-0" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := cloud.NewestServers(t.Context(), "SHUTOFF", 3); err != nil || len(got) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEndedAtOnce(t *testing.T) {
	t.Parallel()
	launched := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stop := func(after time.Duration, user any) fakecloud.Object {
		return fakecloud.Object{"action": "stop", "user_id": user, "start_time": launched.Add(after).Format("2006-01-02T15:04:05.000000")}
	}
	create := fakecloud.Object{"action": "create", "user_id": "u", "start_time": "2026-01-02T03:04:00.000000"}
	for name, test := range map[string]struct {
		actions []fakecloud.Object
		want    bool
	}{
		"soon":      {[]fakecloud.Object{stop(3*time.Second, nil), create}, true},
		"by a user": {[]fakecloud.Object{stop(3*time.Second, "u"), create}, false},
		"later":     {[]fakecloud.Object{stop(time.Hour, nil), create}, false},
		"not told":  {nil, false},
	} {
		fake, cloud := newFake(t)
		fake.Add(fakecloud.Server, "web", fakecloud.Object{"status": "SHUTOFF", "actions": test.actions, "OS-SRV-USG:launched_at": launched.Format("2006-01-02T15:04:05.000000")})
		off, err := cloud.NewestServers(t.Context(), "SHUTOFF", 1)
		if err != nil || len(off) != 1 {
			t.Fatalf("got %+v, %v", off, err)
		}
		if got, err := cloud.EndedAtOnce(t.Context(), off[0]); got != test.want || err != nil {
			t.Errorf("%s: %t, %v", name, got, err)
		}
		off[0].ID = "of-no-one"
		if _, err := cloud.EndedAtOnce(t.Context(), off[0]); err == nil {
			t.Errorf("%s: no error of a server that is not there", name)
		}
	}
}

// TestPhysical: the agents of each kind write otherwise what physical networks they have.
func TestPhysical(t *testing.T) {
	t.Parallel()
	fake, cloud := asAdministrator(t)
	for name, configuration := range map[string]fakecloud.Object{
		"ovn":   {"bridge-mappings": "physnet1:br-ex,physnet2:br-two", "chassis_name": "c"},
		"none":  {"bridge-mappings": ""},
		"ovs":   {"bridge_mappings": fakecloud.Object{"physnet1": "br-ex"}, "tunnel_types": []string{}},
		"linux": {"bridge_mappings": fakecloud.Object{}, "interface_mappings": fakecloud.Object{"physnet1": "eth1"}},
		"dhcp":  {"networks": 3},
	} {
		fake.Add(fakecloud.Agent, name, fakecloud.Object{"configurations": configuration})
	}
	all, err := cloud.Agents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{
		"compute-1": nil, "ovn": {"physnet1": "br-ex", "physnet2": "br-two"}, "none": {}, "ovs": {"physnet1": "br-ex"}, "linux": {"physnet1": "eth1"}, "dhcp": nil,
	}
	for _, agent := range all {
		if got := agent.Physical(); !maps.Equal(got, want[agent.Host]) || (got == nil) != (want[agent.Host] == nil) {
			t.Errorf("%s has %v", agent.Host, got)
		}
	}
	fake.Add(fakecloud.Network, "flat", fakecloud.Object{"provider:physical_network": "physnet1"})
	networks, err := cloud.Networks(t.Context())
	if err != nil || networks[1].Physical != "physnet1" || networks[0].Physical != "" || networks[1].Name != "flat" || networks[1].Subnets != 1 {
		t.Errorf("got %+v, %v", networks, err)
	}
}
