package limits

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"ndock/docker/agent"
)

func withVolumes(paths ...string) image.InspectResponse {
	volumes := map[string]struct{}{}
	for _, path := range paths {
		volumes[path] = struct{}{}
	}
	config := &dockerspec.DockerOCIImageConfig{}
	config.Volumes = volumes
	return image.InspectResponse{Config: config}
}

// TestLimitRootDisk: however many VOLUMEs an image has, all its disks together are no larger than the flavor's.
func TestLimitRootDisk(t *testing.T) {
	limited := agent.RootDisks{Limited: true}
	for name, c := range map[string]struct {
		driver string
		disks  agent.RootDisks
		gb     int
		image  image.InspectResponse
		want   container.HostConfig
	}{
		"none can be":  {"overlay2", agent.RootDisks{}, 5, withVolumes("/data"), container.HostConfig{}},
		"none is sold": {"overlay2", limited, 0, withVolumes("/data"), container.HostConfig{}},
		"one disk":     {"overlay2", limited, 5, image.InspectResponse{}, container.HostConfig{StorageOpt: map[string]string{"size": "5368709120"}}},
		"volumes": {"overlay2", limited, 3, withVolumes("/b", "/a"), container.HostConfig{
			StorageOpt: map[string]string{"size": "1073741824"},
			Mounts:     []mount.Mount{aVolume("/a", "1073741824"), aVolume("/b", "1073741824")},
		}},
		"volumes without quotas": {"btrfs", limited, 1, withVolumes("/a"), container.HostConfig{StorageOpt: map[string]string{"size": "1073741824"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got container.HostConfig
			limitRootDisk(&got, agent.Spec{RootGB: c.gb}, c.image, Host{StorageDriver: c.driver, RootDisks: c.disks})
			wantHost(t, got, c.want)
		})
	}
}

func aVolume(path, size string) mount.Mount {
	return mount.Mount{Type: "volume", Target: path, VolumeOptions: &mount.VolumeOptions{
		DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{"size": size}},
	}}
}
