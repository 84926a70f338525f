package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ndock/docker/durable"
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
	return durable.WriteFile(filepath.Join(dir, portsFile), append(text, '\n'))
}

// Recorded tells whether ports are recorded in a directory, be it none.
func Recorded(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, portsFile))
	return err == nil
}
