package devices

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sysfs is where the kernel describes the machine.
const sysfs = "/sys"

// distance tells how far a device is from a server that has to stay on these NUMA nodes: 0 on one of them, 2 on another, and 1
// where the kernel does not tell, or the server may be anywhere.
func (d *Devices) distance(one device, numa []int) int {
	known := d.numaNodes(one)
	switch {
	case len(known) == 0 || len(numa) == 0:
		return 1
	case slices.ContainsFunc(known, func(node int) bool { return !slices.Contains(numa, node) }):
		return 2
	}
	return 0
}

// numaNodes returns the NUMA nodes on which the device nodes of a device are, as far as the kernel tells.
func (d *Devices) numaNodes(one device) []int {
	var all []int
	for _, node := range strings.Fields(one.nodes) {
		var kind rune
		var major, minor uint32
		if n, err := fmt.Sscanf(node, "%c%d:%d", &kind, &major, &minor); err != nil || n != 3 {
			continue // it has no device node
		}
		dir := map[rune]string{'c': "char", 'b': "block"}[kind]
		if numa, found := numaNode(d.sys, filepath.Join(d.sys, "dev", dir, fmt.Sprintf("%d:%d", major, minor))); found {
			all = append(all, numa)
		}
	}
	return all
}

// numaNode reads on which NUMA node the device at this path of sysfs is: what it does not say itself, the one says that it is a
// part of. A node of -1 is none.
func numaNode(sys, path string) (numa int, found bool) {
	dir, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0, false
	}
	for ; len(dir) > len(sys); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "numa_node"))
		if err != nil {
			continue
		}
		numa, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return numa, err == nil && numa >= 0
	}
	return 0, false
}
