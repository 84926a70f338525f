package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"ndock/registry/config"
)

// spec is what the registry's container is made with.
type spec struct {
	Config *container.Config
	Host   *container.HostConfig
}

// command returns the arguments for what distribution's configuration cannot say.
func (o Options) command() []string {
	at := o.paths()
	command := []string{"--config", at.config + "/" + fileConfig}
	if !o.Glance.Used { // which has garbage of its own
		command = append(command, "--control", at.control)
	}
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

// newSpec returns what the container of a planned registry is made with.
func newSpec(p plan) spec {
	s := spec{
		Config: &container.Config{
			Image: p.image, Cmd: p.command, Env: environment(p.files), StopTimeout: &p.stopTimeout,
			Labels: map[string]string{
				labelRegistry: "server", labelListen: p.listen, labelURL: p.url, labelTLS: p.tls, labelBinary: p.program.digest,
				labelData: p.data,
			},
		},
		Host: hostConfig(),
	}
	if p.data != inGlance {
		s.Host.Mounts = append(s.Host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: dataVolume, Target: config.DataDir})
	}
	if p.privileged() {
		s.Host.CapAdd = []string{"NET_BIND_SERVICE"}
	}
	s.Config.Labels[labelSpec] = s.digest()
	return s
}

// environment returns the variable by which Go finds the CAs, if there are any.
func environment(these files) []string {
	if these[fileSystemCAs] == nil {
		return nil
	}
	return []string{"SSL_CERT_FILE=" + configDir + "/" + fileSystemCAs}
}

// hostConfig takes from the container what a registry does not need. It has the host's network, so that it listens on
// exactly the address it was given (a published port also opens the firewall), and works on engines without a bridge,
// as on compute nodes.
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
		Mounts:         []mount.Mount{{Type: mount.TypeVolume, Source: configVolume, Target: configDir}},
	}
}

// digest tells two specs apart, without asking the engine what it has made of them.
func (s spec) digest() string {
	text, _ := json.Marshal(s) // of plain data, which cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
