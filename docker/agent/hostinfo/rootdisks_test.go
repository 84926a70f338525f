package hostinfo

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/system"
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
		got := RootDisks(system.Info{Driver: driver, DriverStatus: c.status, DockerRootDir: "/"})
		if got.Limited != c.limited || !strings.Contains(got.Reason, c.says) {
			t.Errorf("%s: got %+v", driver, got)
		}
	}
	got := RootDisks(system.Info{Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "btrfs"}}, DockerRootDir: "/"})
	if got.Limited || got.Reason != "overlay2 has no quotas on btrfs, where Docker's storage driver btrfs has" {
		t.Errorf("got %+v", got)
	}
	// What the engine calls xfs and is mounted without quotas; /proc is in every test's machine, and never with them.
	got = RootDisks(system.Info{Driver: "overlay2", DriverStatus: [][2]string{{"Backing Filesystem", "xfs"}}, DockerRootDir: "/proc"})
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

func TestInconsistentQuotasOfBtrfs(t *testing.T) {
	sys := blocks(t)
	for number, want := range map[deviceNumber]bool{{8, 3}: true, {253, 0}: false, {8, 0}: false, {9, 0}: false, {0, 42}: false} {
		if got := quotasInconsistent(sys, number); got != want {
			t.Errorf("%v: got %t", number, got)
		}
	}
}
