package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"ndock/registry"
	"ndock/registry/config"
)

// spec is all that the registry's container is made with.
type spec struct {
	Config *container.Config
	Host   *container.HostConfig
}

// command is what distribution's configuration cannot say.
func (o Options) command() []string {
	at := o.paths()
	command := []string{"--config", at.config + "/" + fileConfig, "--control", at.control}
	if o.mode() == tlsNone {
		command = append(command, "--insecure")
	}
	if o.mode() == tlsSelfSigned {
		command = append(command, "--tls-next", at.config+"/"+fileNext)
	}
	if o.MaxBlobSize > 0 {
		command = append(command, "--max-blob-size", strconv.FormatInt(o.MaxBlobSize, 10))
	}
	if o.MaxUploads > 0 {
		command = append(command, "--max-uploads", strconv.Itoa(o.MaxUploads))
	}
	if o.Quota > 0 {
		command = append(command, "--quota", strconv.FormatInt(o.Quota, 10))
	}
	if o.Proxy.Public {
		command = append(command, "--proxy-public")
	}
	if o.MaxOpenUploads > 0 {
		command = append(command, "--max-open-uploads", strconv.Itoa(o.MaxOpenUploads))
	}
	if o.MaxConnections > 0 {
		command = append(command, "--max-connections", strconv.Itoa(o.MaxConnections))
	}
	if o.MaxConnectionsPerClient > 0 {
		command = append(command, "--max-connections-per-client", strconv.Itoa(o.MaxConnectionsPerClient))
	}
	if o.LogFormat == "json" {
		command = append(command, "--log-format", o.LogFormat)
	}
	return command
}

func (d *inContainer) newSpec() spec {
	patience := d.patience()
	s := spec{
		Config: &container.Config{
			Image: d.image, Cmd: d.command(), Env: d.environment(), StopTimeout: &patience,
			Labels: map[string]string{
				labelRegistry: "server", labelListen: d.Listen, labelURL: d.url(), labelTLS: d.mode(), labelBinary: d.program.digest,
			},
		},
		Host: hostConfig(),
	}
	if at, err := config.ParseAddress(d.Listen); err == nil && at.Privileged() {
		s.Host.CapAdd = []string{"NET_BIND_SERVICE"}
	}
	s.Config.Labels[labelSpec] = s.digest()
	return s
}

// hostConfig takes all from the container that a registry can do without. The network is the host's, so that it
// listens on exactly the address it was told (a published port also opens the firewall), and so that it works on
// engines that have no bridge, as compute nodes do.
func hostConfig() *container.HostConfig {
	return &container.HostConfig{
		NetworkMode:    "host",
		UsernsMode:     "host", // which an engine with userns-remap wants said
		ReadonlyRootfs: true,
		Tmpfs:          map[string]string{controlDir: "size=64k,mode=0700"},
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
		LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
		Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Source: dataVolume, Target: config.DataDir},
			{Type: mount.TypeVolume, Source: configVolume, Target: configDir},
		},
	}
}

// digest tells two specs apart without a look at what the engine made of them.
func (s spec) digest() string {
	text, _ := json.Marshal(s) // of plain data, which cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// inspect returns the registry's container, or nil when there is none.
func inspect(ctx context.Context, engine Engine) (*container.InspectResponse, error) {
	return inspectNamed(ctx, engine, containerName)
}

func inspectNamed(ctx context.Context, engine Engine, name string) (*container.InspectResponse, error) {
	found, err := engine.ContainerInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, explain("look for the registry", err)
	case found.Config.Labels[labelRegistry] == "":
		return nil, &registry.Error{
			Op:   fmt.Sprintf("look at container %q", name),
			Err:  errors.New("it is not a registry of ndock"),
			Help: "give it another name with 'docker rename'",
		}
	}
	return &found, nil
}
