package server

import (
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent/config"
)

// applyRules gives a container what the operator's file says of all.
func applyRules(rules config.Config, host *container.HostConfig) {
	host.SecurityOpt = securityOptions(rules)
	host.CapDrop, host.CapAdd = rules.CapDrop, rules.CapAdd
	host.PidsLimit = &rules.PidsLimit
	host.ShmSize = rules.ShmSizeMB << 20
	host.Ulimits = rules.Ulimits
}

// securityOptions names what is not Docker's default: that needs no word.
func securityOptions(rules config.Config) []string {
	var options []string
	if rules.NoNewPrivileges {
		options = append(options, "no-new-privileges")
	}
	switch {
	case rules.SeccompProfile != "":
		options = append(options, "seccomp="+rules.SeccompProfile)
	case rules.Seccomp != "default":
		options = append(options, "seccomp="+rules.Seccomp)
	}
	if rules.AppArmor != "default" {
		options = append(options, "apparmor="+rules.AppArmor)
	}
	return options
}
