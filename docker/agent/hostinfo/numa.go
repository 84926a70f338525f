package hostinfo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ndock/docker/agent"
)

// sysfs is where the kernel describes the machine.
const sysfs = "/sys"

// NUMANodes lists the nodes of this host that have CPUs, with those that are online.
func NUMANodes() ([]agent.NUMANode, error) { return numaNodes(sysfs) }

// numaNodes lists the nodes that have CPUs, with those that are online. A kernel without NUMA has one node.
func numaNodes(sys string) ([]agent.NUMANode, error) {
	online, err := cpuList(filepath.Join(sys, "devices/system/cpu/online"))
	if err != nil {
		return nil, fmt.Errorf("which CPUs are there: %w", err)
	}
	dirs, err := filepath.Glob(filepath.Join(sys, "devices/system/node/node[0-9]*"))
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		node, err := numaNode(sys, 0, online, "/proc/meminfo")
		return []agent.NUMANode{node}, err
	}
	var nodes []agent.NUMANode
	for _, dir := range dirs {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "node"))
		if err != nil {
			return nil, err
		}
		cpus, err := cpuList(filepath.Join(dir, "cpulist"))
		if err != nil {
			return nil, err
		}
		if len(cpus) == 0 { // memory alone
			continue
		}
		node, err := numaNode(sys, id, cpus, filepath.Join(dir, "meminfo"))
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b agent.NUMANode) int { return a.ID - b.ID })
	return nodes, nil
}

func numaNode(sys string, id int, cpus []int, meminfoPath string) (agent.NUMANode, error) {
	node := agent.NUMANode{ID: id, CPUs: cpus}
	seen := map[int]bool{}
	for _, cpu := range cpus {
		if seen[cpu] {
			continue
		}
		siblings, err := cpuList(filepath.Join(sys, "devices/system/cpu", fmt.Sprintf("cpu%d", cpu), "topology/thread_siblings_list"))
		if err != nil {
			siblings = []int{cpu} // some machines do not say
		}
		for _, sibling := range siblings {
			seen[sibling] = true
		}
		node.Siblings = append(node.Siblings, siblings)
	}
	memory, err := meminfo(meminfoPath)
	if err != nil {
		return node, err
	}
	node.MemoryMB = (memory["MemTotal"] + memory[fmt.Sprintf("Node %d MemTotal", id)]) >> 10 // it has one of the two
	return node, nil
}

// cpuList reads a list of CPUs as the kernel writes it: 0-3,8.
func cpuList(path string) ([]int, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(content)), ",") {
		if part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no list of CPUs", path, content)
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil {
				return nil, fmt.Errorf("%s: %q is no list of CPUs", path, content)
			}
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
