package server

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/system"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"ndock/docker/agent"
)

func TestRootDisks(t *testing.T) {
	for driver, c := range map[string]struct {
		status  [][2]string
		limited bool
		says    string
	}{
		"overlay2": {[][2]string{{"Supports d_type", "true"}, {"Backing Filesystem", "extfs"}}, false, "overlay2 has no quotas on extfs, only on xfs"},
		"btrfs":    {nil, true, "btrfs, but not what is in an image's VOLUMEs"},
		"zfs":      {nil, true, "zfs"},
		"vfs":      {nil, false, "the storage driver vfs has no quotas"},
		// Docker with images in containerd.
		"overlayfs": {[][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}, false, "overlayfs"},
	} {
		got := rootDisks(system.Info{Driver: driver, DriverStatus: c.status, DockerRootDir: "/"})
		if got.Limited != c.limited || !strings.Contains(got.Reason, c.says) {
			t.Errorf("%s: got %+v", driver, got)
		}
	}
	// What the engine calls xfs and is mounted without quotas; /proc is in every test's machine, and never with them.
	got := rootDisks(system.Info{Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "xfs"}}, DockerRootDir: "/proc"})
	if got.Limited || got.Reason != "/proc, on xfs, is mounted without pquota" {
		t.Errorf("got %+v", got)
	}
}

func TestProjectQuotas(t *testing.T) {
	for options, want := range map[string]bool{
		"rw,attr2,inode64,logbufs=8,logbsize=32k,prjquota": true,
		"rw,usrquota,pquota":       true,
		"rw,inode64,noquota":       false,
		"rw,usrquota,grpquota":     false,
		"rw,pqnoenforce,usrquota":  false,
		"rw,subvol=/prjquota,x=12": false,
	} {
		if got := projectQuotas(options); got != want {
			t.Errorf("%s: got %t", options, got)
		}
	}
}

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
			limitRootDisk(&got, agent.Spec{RootGB: c.gb}, c.image, c.driver, c.disks)
			wantHost(t, got, c.want)
		})
	}
}

func aVolume(path, size string) mount.Mount {
	return mount.Mount{Type: "volume", Target: path, VolumeOptions: &mount.VolumeOptions{
		DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{"size": size}},
	}}
}

// TestTheEngineDecidesWhetherDisksAreLimited, at each creation: it may have been given another storage driver.
func TestTheEngineDecidesWhetherDisksAreLimited(t *testing.T) {
	engine := withImage(t)
	engine.info.Driver = "btrfs"
	if got := created(t, engine, small()).StorageOpt["size"]; got != "5368709120" {
		t.Errorf("got a disk of %q", got)
	}
}
