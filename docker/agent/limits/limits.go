// Package limits turns what a flavor buys and what the operator allows into what the kernel holds a server's container to.
// Its functions are pure: what they need to know of the host, they are given.
package limits

import (
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
	"ndock/docker/agent/config"
)

// Host is what limits depend on of the host. Disk and NUMANodes are called only for a flavor that needs them.
type Host struct {
	StorageDriver string // Docker's
	RootDisks     agent.RootDisks
	Disk          func() (string, error) // on which Docker's data is
	NUMANodes     func() ([]agent.NUMANode, error)
	AppArmor      string // the profile of new containers; "" for Docker's
}

// Apply gives a container what its flavor buys and what the operator allows on this node. What the host could not hold
// the server to, it refuses, so that Nova tries another; but for root disks, which few storage drivers can limit. An
// *agent.Fault with the code UnusableFlavor says what is wrong with the flavor.
func Apply(to *container.HostConfig, operators config.Config, spec agent.Spec, from image.InspectResponse, host Host) error {
	applyConfig(to, operators, host.AppArmor)
	specs := extraSpecs(spec.ExtraSpecs)
	if err := specs.ownLimits(to); err != nil {
		return err
	}
	if err := limitCPUs(&to.Resources, spec, host.NUMANodes); err != nil {
		return err
	}
	if err := limitDiskIO(&to.Resources, specs, host.Disk); err != nil {
		return err
	}
	limitRootDisk(to, spec, from, host)
	return nil
}

// CheckWarnings returns an error for a limit that Docker leaves out of a container: it only warns of that.
func CheckWarnings(warnings []string) error {
	for _, warning := range warnings {
		if strings.Contains(strings.ToLower(warning), "discarded") {
			return fmt.Errorf("this host does not hold a limit of the server: %s", warning)
		}
	}
	return nil
}

// CheckImageSize refuses an image of so many bytes for a new server whose flavor has a smaller disk. A flavor of 0 GiB takes
// any.
func CheckImageSize(size, rootGB int64) error {
	if rootGB > 0 && size > rootGB<<30 {
		return agent.Faultf(agent.UnusableFlavor, "the image unpacks to %d MiB, more than the flavor's disk of %d GiB: boot it with a flavor of a larger disk", size>>20, rootGB)
	}
	return nil
}
