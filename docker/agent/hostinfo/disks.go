package hostinfo

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ndock/docker/agent/diskspace"
	"ndock/docker/agent/naming"
	"ndock/docker/archive"
	"ndock/docker/engine"
)

// diskInterval is how long a measurement of disks is used: the size of every file is read for one.
const diskInterval = 10 * time.Minute

// serverDisks measures what the servers' containers have written.
type serverDisks struct {
	engine  Engine
	log     *slog.Logger
	closing context.Context

	mu        sync.Mutex
	bytes     int64
	measuring bool
	measured  time.Time // the end of the last time
}

// written returns the last measurement in bytes, and begins another when that is old. It is 0 until the first is there, so
// that Placement is told of too little free space rather than too much.
func (d *serverDisks) written() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.measuring && time.Since(d.measured) > diskInterval { // tenants can have it take hours
		d.measuring = true
		go d.measure()
	}
	return d.bytes
}

func (d *serverDisks) measure() {
	sum, err := d.sum(d.closing)
	if err != nil {
		d.log.Error("the disks of servers were not measured", "reason", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.measuring, d.measured = false, time.Now()
	if err == nil {
		d.bytes = sum
	}
}

// sum adds what the files of servers use. Their sizes say nothing: a tenant can have a file of any size that uses nothing.
func (d *serverDisks) sum(ctx context.Context) (sum int64, err error) {
	servers := container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", naming.LabelServer))}
	found, err := d.engine.ContainerList(ctx, servers)
	if err != nil {
		return 0, err
	}
	limits := map[string]int64{} // of those that only Docker can measure
	for _, c := range found {
		if !naming.IsServer(c) {
			continue
		}
		of, err := d.engine.ContainerInspect(ctx, c.ID)
		if err != nil {
			continue // it counts as others'
		}
		if upper := of.GraphDriver.Data["UpperDir"]; upper != "" {
			sum = archive.AddSizes(sum, d.used(ctx, upper, limitOf(of)))
		} else {
			limits[c.ID] = limitOf(of)
		}
	}
	if len(limits) == 0 {
		return sum, ctx.Err()
	}
	byEngine, err := d.sumByEngine(ctx, servers, limits)
	return archive.AddSizes(sum, byEngine), err
}

// used measures the files of a container in the directory that its storage driver has for them. No more than its limit is used, if it
// has one: files that are moved may be met twice.
func (d *serverDisks) used(ctx context.Context, directory string, limit int64) int64 {
	tree, err := diskspace.Measure(ctx, directory)
	if err != nil {
		d.log.Warn("not all files of a server were measured: the rest counts as others'", "directory", directory, "reason", err)
	}
	if limit > 0 {
		return min(tree.Used, limit)
	}
	return tree.Used
}

// limitOf returns the limit of a container's disk in bytes, 0 where it has none.
func limitOf(found container.InspectResponse) int64 {
	if found.HostConfig == nil {
		return 0
	}
	size, _ := strconv.ParseInt(found.HostConfig.StorageOpt["size"], 10, 64)
	return max(0, size)
}

// sumByEngine adds what Docker says of these containers. In containerd's store it is what their files use. With other storage drivers
// it is what the files say: that counts as far as the container has a limit, up to which it is sold.
func (d *serverDisks) sumByEngine(ctx context.Context, servers container.ListOptions, limits map[string]int64) (sum int64, err error) {
	info, err := d.engine.Info(ctx)
	if err != nil {
		return 0, err
	}
	servers.Size = true
	found, err := d.engine.ContainerList(ctx, servers)
	for _, c := range found {
		limit, ours := limits[c.ID]
		if engine.InContainerd(info) {
			limit = math.MaxInt64
		}
		if ours {
			sum = archive.AddSizes(sum, max(0, min(c.SizeRw, limit)))
		}
	}
	return sum, err
}
