package limits

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
)

// defaultPeriod is the kernel's and libvirt's, in microseconds.
const defaultPeriod = 100_000

// limitCPUs turns what Nova's libvirt driver makes of a flavor's quota:cpu_* into the same for a container.
func limitCPUs(r *container.Resources, spec agent.Spec, nodes func() ([]agent.NUMANode, error)) error {
	specs := extraSpecs(spec.ExtraSpecs)
	shares, err := specs.number("quota:cpu_shares", 0, 262_144) // what the kernel takes
	if err != nil {
		return err
	}
	r.CPUShares = shares
	pinned := len(spec.PinnedCPUs) >= spec.VCPUs && spec.VCPUs > 0
	if pinned { // it has no more CPUs than those, and a cap on top would only make its threads stutter
		r.NanoCPUs = 0
	}
	if err := limitCPUTime(r, specs, int64(spec.VCPUs)); err != nil {
		return err
	}
	return placeCPUs(r, spec, pinned, nodes)
}

// limitCPUTime reads quota and period. In libvirt they are for each vCPU of a server, in Docker for all together.
func limitCPUTime(r *container.Resources, specs extraSpecs, vcpus int64) error {
	period, err := specs.microseconds("quota:cpu_period", 0, 1_000_000)
	if err != nil {
		return err
	}
	quota, err := specs.microseconds("quota:cpu_quota", math.MinInt64, math.MaxInt64)
	if err != nil || period == 0 && quota <= 0 {
		return err
	}
	if period == 0 {
		period = defaultPeriod
	}
	if quota <= 0 { // no limit, but that a vCPU is one CPU
		quota = period
	}
	r.NanoCPUs = 0 // which is another way to say the same
	r.CPUPeriod, r.CPUQuota = period, min(quota, period)*vcpus
	return nil
}

// microseconds reads a time; the kernel takes 1 ms at least. 0 means none, and for a quota a negative number too.
func (e extraSpecs) microseconds(key string, least, most int64) (int64, error) {
	value, err := e.number(key, least, most)
	if err == nil && value > 0 && value < 1000 {
		return 0, agent.Faultf(agent.UnusableFlavor, "the flavor's %s is %q, and less than the 1000 microseconds that it has to be", key, e[key])
	}
	return value, err
}

// placeCPUs keeps a server on its pinned CPUs, or on the shared ones. A server of hw:cpu_policy=mixed gets both: a
// container's threads cannot be told apart as vCPUs can.
func placeCPUs(r *container.Resources, spec agent.Spec, pinned bool, nodes func() ([]agent.NUMANode, error)) error {
	cpus := slices.Clone(spec.PinnedCPUs)
	if !pinned {
		shared, err := sharedCPUs(spec, nodes)
		if err != nil {
			return err
		}
		cpus = append(cpus, shared...)
	}
	r.CpusetCpus, r.CpusetMems = cpuset(cpus), cpuset(spec.NUMANodes)
	return nil
}

// sharedCPUs returns the CPUs that are not pinned: of the server's NUMA nodes, or of the host where it has none.
func sharedCPUs(spec agent.Spec, nodes func() ([]agent.NUMANode, error)) ([]int, error) {
	if len(spec.NUMANodes) == 0 {
		return spec.SharedCPUs, nil
	}
	all, err := nodes()
	if err != nil {
		return nil, err
	}
	var cpus []int
	for _, node := range all {
		if slices.Contains(spec.NUMANodes, node.ID) {
			cpus = append(cpus, node.CPUs...)
		}
	}
	return slices.DeleteFunc(cpus, func(cpu int) bool {
		return len(spec.SharedCPUs) > 0 && !slices.Contains(spec.SharedCPUs, cpu)
	}), nil
}

// cpuset writes numbers as Docker takes them for a cpuset, in order and each once.
func cpuset(numbers []int) string {
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	texts := make([]string, len(numbers))
	for i, number := range numbers {
		texts[i] = strconv.Itoa(number)
	}
	return strings.Join(texts, ",")
}
