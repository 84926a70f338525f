package hostinfo

import (
	"path/filepath"
	"reflect"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
)

func TestNUMANodes(t *testing.T) {
	const cpu, node = "devices/system/cpu/", "devices/system/node/"
	sys := agenttest.Tree(t, map[string]string{
		cpu + "online": "0-3\n",
		cpu + "cpu0/topology/thread_siblings_list":  "0,2\n",
		cpu + "cpu2/topology/thread_siblings_list":  "0,2\n",
		cpu + "cpu1/topology/thread_siblings_list":  "1\n",
		node + "node0/cpulist":                      "0,2\n",
		node + "node0/meminfo":                      "Node 0 MemTotal:       4194304 kB\nNode 0 MemFree:        1 kB\n",
		node + "node10/cpulist":                     "1,3\n",
		node + "node10/meminfo":                     "Node 10 MemTotal:       2097152 kB\n",
		node + "node2/cpulist":                      "\n", // memory alone
		node + "node2/meminfo":                      "Node 2 MemTotal:       2097152 kB\n",
		node + "possible":                           "0-10\n",
		cpu + "cpu10/topology/thread_siblings_list": "10\n", // off
	})
	got, err := numaNodes(sys)
	want := []agent.NUMANode{
		{ID: 0, CPUs: []int{0, 2}, Siblings: [][]int{{0, 2}}, MemoryMB: 4096},
		{ID: 10, CPUs: []int{1, 3}, Siblings: [][]int{{1}, {3}}, MemoryMB: 2048},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAKernelWithoutNUMA(t *testing.T) {
	got, err := numaNodes(agenttest.Tree(t, map[string]string{"devices/system/cpu/online": "0-1"}))
	if err != nil || len(got) != 1 || len(got[0].CPUs) != 2 || len(got[0].Siblings) != 2 || got[0].MemoryMB == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCPULists(t *testing.T) {
	for text, want := range map[string][]int{"0": {0}, "0-2,7\n": {0, 1, 2, 7}, "": nil, "\n": nil} {
		got, err := cpuList(filepath.Join(agenttest.Tree(t, map[string]string{"f": text}), "f"))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a", "0-", "0-b", "-1"} {
		if got, err := cpuList(filepath.Join(agenttest.Tree(t, map[string]string{"f": text}), "f")); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
