package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"

	"ndock/docker/ociruntime"
)

// oldest is the API of the oldest engine that servers were tried with, 20.10.
const oldest = "1.41"

// InContainerd tells whether an engine that says this of itself keeps its images in containerd. It finds no layer by its chain
// id then, and has no files of single layers.
func InContainerd(info system.Info) bool {
	return slices.ContainsFunc(info.DriverStatus, func(status [2]string) bool { return status[1] == "io.containerd.snapshotter.v1" })
}

// ErrAPIChange ends an agent whose engine was replaced by one that its client does not suit, as in a downgrade: what they
// speak is agreed on once, when the client is made.
var ErrAPIChange = errors.New("Docker Engine was replaced by one of another API")

// IsAPIChange tells whether a call failed because the engine was replaced by one whose API the client does not suit. It
// recognises the engine's own words, which have no code (moby, daemon/server/middleware/version.go). They are the whole of
// its answer: in the middle of one they may be a tenant's.
func IsAPIChange(err error) bool {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err != nil && strings.HasPrefix(strings.TrimPrefix(err.Error(), "Error response from daemon: "), "client version ")
}

// Lacks returns what servers go without on an engine, a sentence each.
func Lacks(version types.Version, info system.Info) []string {
	var all []string
	if versions.LessThan(version.APIVersion, oldest) {
		all = append(all, fmt.Sprintf("version %s is older than 20.10, with which servers were never tried", version.Version))
	}
	if _, ok := info.Runtimes[ociruntime.Name]; !ok {
		all = append(all, fmt.Sprintf("it has no runtime %q, without which no server starts: 'ndock node setup' adds it", ociruntime.Name))
	}
	if !slices.ContainsFunc(info.SecurityOptions, func(option string) bool { return strings.HasPrefix(option, "name=seccomp") }) {
		all = append(all, "no seccomp: a server may ask the kernel for anything that its capabilities allow")
	}
	for _, limit := range []struct {
		has  bool
		what string
	}{
		{info.MemoryLimit, "no limit of memory"},
		{info.SwapLimit, "no limit of swap: a server may use the host's beyond its flavor's memory"},
		{info.PidsLimit, "no limit of processes"},
		{info.CPUShares, "no shares of CPU"},
		{info.CPUCfsQuota, "no limit of CPU time"},
		{info.CPUSet, "no pinning to CPUs"},
	} {
		if !limit.has {
			all = append(all, limit.what+" (the kernel's cgroups have it off)")
		}
	}
	return all
}
