// Package novadriver brings the Docker driver into Nova: it carries the driver's Python files (Nova can load
// nothing else), and finds the Python that nova-compute runs on and the directory where that looks for drivers.
package novadriver

import (
	"embed"
	"fmt"
	"path"
)

// Name is the package under nova.virt, Driver what compute_driver has to say so that Nova loads it.
const (
	Name   = "docker"
	Driver = "docker.DockerDriver"
)

// Traits are those that the driver gives the host in Placement, and that no other driver takes away again. A star at the end
// stands for any text.
var Traits = []string{"CUSTOM_NDOCK", "CUSTOM_NDOCK_CDI", "CUSTOM_NDOCK_CDI_*", "CUSTOM_NDOCK_DISK_QUOTA", "CUSTOM_NDOCK_LAYERS", "CUSTOM_NDOCK_RUNTIME_*"}

// The pattern leaves out __pycache__, which a pattern of the directory would take.
//
//go:embed nova/virt/docker/*.py
var python embed.FS

// A File is one file of the driver; Name is relative to the driver's directory.
type File struct {
	Name    string
	Content []byte
}

// Files returns the driver's files in the order of their names.
func Files() ([]File, error) {
	const dir = "nova/virt/" + Name
	entries, err := python.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the driver in this binary: %w", err)
	}
	files := make([]File, len(entries))
	for i, entry := range entries {
		content, err := python.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the driver in this binary: %w", err)
		}
		files[i] = File{Name: entry.Name(), Content: content}
	}
	return files, nil
}
