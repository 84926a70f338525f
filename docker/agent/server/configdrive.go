package server

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/docker/docker/api/types/mount"
)

// configDrivePaths are where a container finds its config drive: where Nova's guide for users mounts that of a
// virtual machine, and where cloud-init looks for one that is a directory.
var configDrivePaths = []string{"/mnt/config", "/var/lib/cloud/seed/config_drive"}

func (s *Server) serverDir(uuid string) string { return filepath.Join(s.state, uuid) }

func (s *Server) configDriveDir(uuid string) string {
	return filepath.Join(s.serverDir(uuid), "config-drive")
}

// writeConfigDrive writes the files anew and returns the mounts by which the container sees them, read-only.
func (s *Server) writeConfigDrive(uuid string, files map[string][]byte) ([]mount.Mount, error) {
	if len(files) == 0 {
		return nil, nil
	}
	if err := s.fillConfigDrive(uuid, files); err != nil {
		return nil, fmt.Errorf("write the config drive: %w", err)
	}
	var mounts []mount.Mount
	for _, target := range configDrivePaths {
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: s.configDriveDir(uuid), Target: target, ReadOnly: true})
	}
	return mounts, nil
}

func (s *Server) fillConfigDrive(uuid string, files map[string][]byte) error {
	// Passwords may be in it: on the host it is for root alone, in the container for everyone.
	if err := os.MkdirAll(s.serverDir(uuid), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(s.configDriveDir(uuid), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.configDriveDir(uuid)) // nothing is written outside, whatever the paths are
	if err != nil {
		return err
	}
	defer root.Close()
	for name, content := range files {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) removeServerDir(uuid string) error { return os.RemoveAll(s.serverDir(uuid)) }
