package instance

import (
	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
	"ndock/docker/agent/process"
	"ndock/docker/network"
	"ndock/docker/ociruntime"
)

// leastMemoryMB is the lowest memory limit that Docker accepts.
const leastMemoryMB = 6

// maxText is the most that Docker Engine is to keep of a tenant's words for one container, in bytes. By its default quotas Nova
// takes 64 KiB of user data, and 255 characters of each of 128 keys and values of metadata.
const maxText = 1 << 20

// checkText refuses a server whose labels, environment and command would have more than maxText.
func checkText(spec agent.Spec) error {
	size := len(spec.Name) + len(spec.Hostname) + len(spec.DNSDomain) + len(spec.ProjectID) + len(spec.OSCommandLine) + len(spec.UserData)
	for key, value := range spec.Metadata {
		size += len(key) + len(value)
	}
	if size > maxText {
		return agent.Faultf(agent.BadRequest, "the server's names, metadata, command and user data have %d bytes: they may have %d in all", size, maxText)
	}
	return nil
}

// containerFor turns a server into a container. The tenant's part of the spec decides what runs in it and never what it may
// do: that is here and in package limits.
func containerFor(uuid string, spec agent.Spec, imageID string) (*container.Config, *container.HostConfig, error) {
	wanted, err := process.Of(spec)
	if err != nil {
		return nil, nil, err
	}
	if spec.MemoryMB < leastMemoryMB {
		return nil, nil, agent.Faultf(agent.UnusableFlavor, "the flavor has %d MiB of memory, but Docker gives a container at least %d MiB: boot it with a flavor of more memory", spec.MemoryMB, leastMemoryMB)
	}
	hostname, domain := network.SplitHostname(spec.Hostname, spec.DNSDomain)
	config := &container.Config{
		Image:      imageID,
		Hostname:   hostname,
		Tty:        true, // a shell as command stays up, and its output is the console
		OpenStdin:  true,
		Env:        process.Environment(spec.Metadata, wanted.Env),
		Cmd:        wanted.Command,
		Entrypoint: wanted.Entrypoint,
		WorkingDir: wanted.WorkDir,
		User:       wanted.User,
		Labels: map[string]string{
			naming.LabelServer: uuid, naming.LabelName: spec.Name, naming.LabelImage: spec.ImageID, naming.LabelProject: spec.ProjectID,
			naming.LabelDomain: domain,
		},
	}
	if wanted.TTY != nil {
		config.Tty, config.OpenStdin = *wanted.TTY, *wanted.TTY
	}
	return config, confinement(spec), nil
}

func confinement(spec agent.Spec) *container.HostConfig {
	memory := spec.MemoryMB << 20
	return &container.HostConfig{
		Runtime:       ociruntime.Name, // which plugs it in
		NetworkMode:   "none",
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled}, // Nova decides what runs
		LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
		Resources: container.Resources{
			Memory:     memory,
			MemorySwap: memory, // the same figure: no swap beyond it
			NanoCPUs:   int64(spec.VCPUs) * 1e9,
		},
	}
}
