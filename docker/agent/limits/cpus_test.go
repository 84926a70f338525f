package limits

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

func TestPlaceCPUs(t *testing.T) {
	for name, c := range map[string]struct {
		spec       agent.Spec
		cpus, mems string
		capped     bool
	}{
		"anywhere":              {agent.Spec{}, "", "", true},
		"shared":                {agent.Spec{SharedCPUs: []int{2, 0, 1}}, "0,1,2", "", true},
		"pinned":                {agent.Spec{PinnedCPUs: []int{10, 3}, SharedCPUs: []int{0, 1}, NUMANodes: []int{0}}, "3,10", "0", false},
		"pinned over two nodes": {agent.Spec{PinnedCPUs: []int{3, 10}, NUMANodes: []int{1, 0}}, "3,10", "0,1", false},
		"mixed":                 {agent.Spec{PinnedCPUs: []int{3}, SharedCPUs: []int{0, 1}}, "0,1,3", "", true},
	} {
		c.spec.VCPUs = 2
		got := container.Resources{NanoCPUs: 2e9}
		if err := limitCPUs(&got, c.spec, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.CpusetCpus != c.cpus || got.CpusetMems != c.mems || got.NanoCPUs > 0 != c.capped {
			t.Errorf("%s: got CPUs %q, nodes %q and a cap of %d", name, got.CpusetCpus, got.CpusetMems, got.NanoCPUs)
		}
	}
}

// TestANodesOwnCPUs: a server that is to stay on a NUMA node stays on those of its CPUs that are shared.
func TestANodesOwnCPUs(t *testing.T) {
	node := agent.NUMANode{ID: 1, CPUs: []int{2, 3, 6, 7}}
	nodes := func() ([]agent.NUMANode, error) {
		return []agent.NUMANode{{ID: 0, CPUs: []int{0, 1, 4, 5}}, node}, nil
	}
	for name, c := range map[string]struct {
		shared []int
		want   string
	}{
		"none dedicated":   {nil, cpuset(node.CPUs)},
		"one is shared":    {[]int{node.CPUs[0]}, cpuset(node.CPUs[:1])},
		"and one far away": {[]int{node.CPUs[0], 1 << 20}, cpuset(node.CPUs[:1])},
	} {
		var got container.Resources
		if err := limitCPUs(&got, agent.Spec{VCPUs: 1, SharedCPUs: c.shared, NUMANodes: []int{node.ID}}, nodes); err != nil || got.CpusetCpus != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, got.CpusetCpus, err, c.want)
		}
	}
}

// TestAPinnedServerCanHaveAQuotaToo, which is then the flavor's own wish.
func TestAPinnedServerCanHaveAQuotaToo(t *testing.T) {
	spec := agent.Spec{VCPUs: 1, PinnedCPUs: []int{1}, ExtraSpecs: map[string]string{"quota:cpu_quota": "50000"}}
	var got container.Resources
	if err := limitCPUs(&got, spec, nil); err != nil || got.CPUQuota != 50000 || got.CpusetCpus != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}
