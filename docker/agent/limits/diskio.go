package limits

import (
	"fmt"
	"math"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
)

// limitDiskIO throttles what a server reads and writes on the disk of Docker's data, as quota:disk_* says. Docker has no
// limit on both together: Nova's totals hold for reads and for writes, each.
func limitDiskIO(r *container.Resources, specs extraSpecs, disk func() (string, error)) error {
	for key, rates := range map[string]*[]*blkiodev.ThrottleDevice{
		"quota:disk_read_bytes_sec": &r.BlkioDeviceReadBps, "quota:disk_write_bytes_sec": &r.BlkioDeviceWriteBps,
		"quota:disk_read_iops_sec": &r.BlkioDeviceReadIOps, "quota:disk_write_iops_sec": &r.BlkioDeviceWriteIOps,
	} {
		rate, err := specs.rate(key)
		if err != nil {
			return err
		}
		if rate == 0 {
			continue
		}
		path, err := disk()
		if err != nil {
			return fmt.Errorf("this host cannot hold the flavor's %s: %w", key, err)
		}
		*rates = []*blkiodev.ThrottleDevice{{Path: path, Rate: uint64(rate)}}
	}
	return nil
}

// totals has the total that holds beside each limit.
var totals = map[string]string{
	"quota:disk_read_bytes_sec": "quota:disk_total_bytes_sec", "quota:disk_write_bytes_sec": "quota:disk_total_bytes_sec",
	"quota:disk_read_iops_sec": "quota:disk_total_iops_sec", "quota:disk_write_iops_sec": "quota:disk_total_iops_sec",
}

// rate returns the lower of a limit and its total; 0 is none.
func (e extraSpecs) rate(key string) (int64, error) {
	own, err := e.number(key, 0, math.MaxInt64)
	if err != nil {
		return 0, err
	}
	total, err := e.number(totals[key], 0, math.MaxInt64)
	if err != nil || own == 0 || total == 0 {
		return max(own, total), err
	}
	return min(own, total), nil
}
