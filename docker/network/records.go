package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// SetPorts writes them, all or none, whenever the power fails.
func SetPorts(dir string, ports []Port) error {
	text, err := json.MarshalIndent(ports, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, portsFile)
	if err := writeThrough(name+".new", append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeThrough writes a file to the disk.
func writeThrough(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
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
