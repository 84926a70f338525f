package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
)

// limit gives a container what its flavor buys and what the operator allows on this node. What this host could not
// hold the server to, it refuses, so that Nova tries another; but for root disks, which few storage drivers can limit.
func (s *Server) limit(ctx context.Context, host *container.HostConfig, spec agent.Spec, found image.InspectResponse) error {
	info, err := s.docker.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask Docker what it can limit: %w", err)
	}
	applyRules(s.rules, host)
	specs := extraSpecs(spec.ExtraSpecs)
	if err := specs.ownLimits(host); err != nil {
		return err
	}
	if err := limitCPUs(&host.Resources, spec); err != nil {
		return err
	}
	if err := limitDiskIO(&host.Resources, specs, func() (string, error) { return diskOf(info.DockerRootDir) }); err != nil {
		return err
	}
	limitRootDisk(host, spec, found, info.Driver, rootDisks(info))
	return nil
}

// unheld finds what Docker would leave out of a container, which it only warns of.
func unheld(warnings []string) error {
	for _, warning := range warnings {
		if strings.Contains(strings.ToLower(warning), "discarded") {
			return fmt.Errorf("this host does not hold a limit of the server: %s", warning)
		}
	}
	return nil
}
