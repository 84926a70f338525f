package hostinfo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"

	"ndock/docker/agent/agenttest"
)

// blocks is a /sys with a disk, a partition of it, and a logical volume. On each is a btrfs: without quotas, with figures that
// are inconsistent, and with good ones.
func blocks(t *testing.T) string {
	t.Helper()
	sys := agenttest.Tree(t, map[string]string{
		"devices/pci/block/sda/uevent":         "MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n",
		"devices/pci/block/sda/sda3/uevent":    "MAJOR=8\nMINOR=3\nDEVNAME=sda3\nDEVTYPE=partition\n",
		"devices/pci/block/sda/sda3/partition": "3\n",
		"devices/virtual/block/dm-0/uevent":    "DEVNAME=dm-0\n",
		"devices/virtual/block/odd/uevent":     "MAJOR=9\n",
		"dev/block/.keep":                      "",

		"fs/btrfs/features/raid1c34":      "0\n",
		"fs/btrfs/a/devices/sda":          "",
		"fs/btrfs/b/devices/sda3":         "",
		"fs/btrfs/b/qgroups/inconsistent": "1\n",
		"fs/btrfs/c/devices/dm-0":         "",
		"fs/btrfs/c/qgroups/inconsistent": "0\n",
	})
	for number, dir := range map[string]string{"8:0": "pci/block/sda", "8:3": "pci/block/sda/sda3", "253:0": "virtual/block/dm-0", "9:0": "virtual/block/odd"} {
		if err := os.Symlink(filepath.Join(sys, "devices", dir), filepath.Join(sys, "dev/block", number)); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestDisk(t *testing.T) {
	sys := blocks(t)
	for number, want := range map[[2]uint32]string{{8, 0}: "/dev/sda", {8, 3}: "/dev/sda", {253, 0}: "/dev/dm-0"} {
		if got, err := disk(sys, number[0], number[1], "it"); err != nil || got != want {
			t.Errorf("%v: got %s, %v, want %s", number, got, err, want)
		}
	}
	if got, err := disk(sys, 0, 42, "/var/lib/docker is on overlay"); err == nil || !strings.HasPrefix(err.Error(), "/var/lib/docker is on overlay, which is on no disk") {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := disk(sys, 9, 0, "it"); err == nil {
		t.Errorf("a device without a name: got %s", got)
	}
}

func TestTheNearestMount(t *testing.T) {
	const table = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 8:2 / /var rw - ext4 /dev/sda2 rw
24 23 8:3 / /var/lib/docker rw shared:1 - ext4 /dev/sda3 rw
25 23 8:4 / /var/lib/docker rw shared:1 - xfs /dev/sda4 rw,prjquota
26 24 0:30 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
27 22 8:5 / /var/lib/dock rw - ext4 /dev/sda5 rw
`
	for dir, minor := range map[string]int{"/": 1, "/var/lib": 2, "/var/lib/docker": 4, "/var/lib/docker/volumes": 4, "/home": 1} {
		mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(table), mountinfo.ParentsFilter(dir))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := nearest(dir, mounts); err != nil || got.Minor != minor {
			t.Errorf("%s: got %+v, %v, want 8:%d", dir, got, err, minor)
		}
	}
	if _, err := nearest("/", nil); err == nil {
		t.Error("a directory that is nowhere is somewhere")
	}
}
