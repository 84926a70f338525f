package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// The agent records a server's ports in the server's directory. The hooks of its container read them when it starts, whether
// the agent runs or not.
const (
	portsFile = "ports.json"
	// NetnsDir is where the network namespaces of running containers are pinned.
	NetnsDir = "/run/ndock/netns"
)

// NetnsPath is where the network namespace of a container is pinned.
func NetnsPath(containerID string) string { return filepath.Join(NetnsDir, containerID) }

// Ports returns the ports that are recorded in a server's directory, in the order of its interfaces.
func Ports(dir string) ([]Port, error) {
	text, err := os.ReadFile(filepath.Join(dir, portsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ports []Port
	if err := json.Unmarshal(text, &ports); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, portsFile), err)
	}
	for i, port := range ports {
		if len(port.ID) < idInName {
			return nil, fmt.Errorf("read %s: %q is no port's id", filepath.Join(dir, portsFile), port.ID)
		}
		ports[i].Dir = dir
	}
	return ports, nil
}

// SetPorts writes the ports of a server's directory. After a power cut either the old or the new ones are there.
func SetPorts(dir string, ports []Port) error {
	text, err := json.MarshalIndent(ports, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, portsFile), append(text, '\n'), 0o600, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// Recorded tells whether ports are recorded in a directory, be it none.
func Recorded(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, portsFile))
	return err == nil
}
