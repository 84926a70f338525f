package limits

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
)

// extraSpecs are a flavor's. Only administrators write them, so they may set what a tenant may not.
type extraSpecs map[string]string

// number reads a whole number from least to most; 0 where there is none. A flavor that is wrong is so on every host.
func (e extraSpecs) number(key string, least, most int64) (int64, error) {
	text, found := e[key]
	if !found {
		return 0, nil
	}
	value, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || value < least || value > most {
		return 0, agent.Faultf(agent.UnusableFlavor, "the flavor's %s is %q, and not a whole number from %d to %d", key, text, least, most)
	}
	return value, nil
}

// The extra specs that only ndock has.
const (
	ownSpecs     = "ndock:"
	shmSizeSpec  = ownSpecs + "shm_size_mb"
	pidsSpec     = ownSpecs + "pids_limit"
	ulimitPrefix = ownSpecs + "ulimit_"

	RuntimeSpec = ownSpecs + "runtime" // which program runs the container
)

// RuntimeName returns the name of the runtime that a flavor asks for; empty for none.
func RuntimeName(spec agent.Spec) (string, error) {
	name, found := spec.ExtraSpecs[RuntimeSpec]
	if found && !config.IsRuntimeName(name) {
		return "", agent.Faultf(agent.UnusableFlavor, "the flavor's %s is %q, and no name of a runtime", RuntimeSpec, name)
	}
	return name, nil
}

// ownLimits sets the limits of the flavor that override the operator's file.
func (e extraSpecs) ownLimits(host *container.HostConfig) error {
	shm, err := e.number(shmSizeSpec, 1, 1<<30)
	if err != nil {
		return err
	}
	pids, err := e.number(pidsSpec, 1, 1<<22)
	if err != nil {
		return err
	}
	if shm > 0 {
		host.ShmSize = shm << 20
	}
	if pids > 0 {
		host.PidsLimit = &pids
	}
	return e.ulimits(host)
}

func (e extraSpecs) ulimits(host *container.HostConfig) error {
	for _, key := range slices.Sorted(maps.Keys(e)) {
		name, found := strings.CutPrefix(key, ulimitPrefix)
		switch {
		case !found && strings.HasPrefix(key, ownSpecs) && key != shmSizeSpec && key != pidsSpec && key != RuntimeSpec:
			return agent.Faultf(agent.UnusableFlavor, "the flavor's extra spec %s means nothing to ndock: a limit that is misspelt would not hold", key)
		case !found:
			continue
		}
		limit, err := units.ParseUlimit(name + "=" + e[key])
		if err != nil {
			return agent.Faultf(agent.UnusableFlavor, "the flavor's %s is %q: %v", key, e[key], err)
		}
		host.Ulimits = slices.DeleteFunc(slices.Clone(host.Ulimits), func(other *units.Ulimit) bool { return other.Name == name })
		host.Ulimits = append(host.Ulimits, limit)
	}
	return nil
}
