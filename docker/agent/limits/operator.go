package limits

import (
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent/config"
)

// applyConfig gives a container what the operator's file says for all.
func applyConfig(host *container.HostConfig, operators config.Config, profile string) {
	host.SecurityOpt = securityOptions(operators, profile)
	host.CapDrop, host.CapAdd = operators.CapDrop, operators.CapAdd
	host.PidsLimit = &operators.PidsLimit
	host.ShmSize = operators.ShmSizeMB << 20
	host.Ulimits = operators.Ulimits
}

// securityOptions returns the options that are not Docker's default.
func securityOptions(operators config.Config, profile string) []string {
	var options []string
	if operators.NoNewPrivileges {
		options = append(options, "no-new-privileges")
	}
	switch {
	case operators.SeccompProfile != "":
		options = append(options, "seccomp="+operators.SeccompProfile)
	case operators.Seccomp != "default":
		options = append(options, "seccomp="+operators.Seccomp)
	}
	if profile != "" {
		options = append(options, "apparmor="+profile)
	}
	return options
}
