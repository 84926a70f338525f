package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"

	"ndock/docker/ociruntime"
)

// oldest is the oldest engine that servers are right on, by its API: 20.10.
const oldest = "1.41"

// introduce says in the log which engine this is, once it answers, and what servers go without on it.
func (s *Server) introduce(ctx context.Context) {
	for _, lack := range s.kernel.Lacks() {
		s.log.Warn("this host lacks something", "what", lack)
	}
	for {
		version, err := s.docker.ServerVersion(ctx)
		if err == nil {
			var info system.Info
			if info, err = s.docker.Info(ctx); err == nil {
				s.log.Info("Docker Engine answers", "version", version.Version, "api", version.APIVersion, "storage", info.Driver)
				for _, lack := range lacks(version, info) {
					s.log.Warn("Docker Engine lacks something", "what", lack)
				}
				return
			}
		}
		s.log.Warn("Docker Engine does not answer", "reason", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pulse):
		}
	}
}

// ErrOtherEngine ends an agent whose engine was replaced by one that its client does not suit, as in a downgrade: what
// they speak is agreed on once, when the client is made.
var ErrOtherEngine = errors.New("Docker Engine was replaced by one of another API")

// otherAPI recognises the engine's own words for that, which have no code (moby, daemon/server/middleware/version.go). They
// are the whole of its answer: in the middle of one they may be a tenant's.
func otherAPI(err error) bool {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err != nil && strings.HasPrefix(strings.TrimPrefix(err.Error(), "Error response from daemon: "), "client version ")
}

// lacks is what servers go without on an engine, a sentence each.
func lacks(version types.Version, info system.Info) []string {
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
