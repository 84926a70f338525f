package hostinfo

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"ndock/docker/agent/naming"
	"ndock/docker/engine"
)

// diskInterval is how long a measurement of disks is used. Docker reads the size of every file for one.
const diskInterval = 10 * time.Minute

// serverDisks measures what the servers' containers have written.
type serverDisks struct {
	engine  engine.Containers
	log     *slog.Logger
	closing context.Context

	mu       sync.Mutex
	bytes    int64
	measured time.Time // or begun to be
}

// written returns the last measurement in bytes, and begins another when that is old. It is 0 until the first is there, so
// that Placement is told of too little free space rather than too much.
func (d *serverDisks) written() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.measured) > diskInterval {
		d.measured = now
		go d.measure()
	}
	return d.bytes
}

func (d *serverDisks) measure() {
	servers := filters.NewArgs(filters.Arg("label", naming.LabelServer))
	found, err := d.engine.ContainerList(d.closing, container.ListOptions{All: true, Size: true, Filters: servers})
	if err != nil {
		d.log.Error("the disks of servers were not measured", "reason", err)
		return
	}
	var sum int64
	for _, c := range found {
		if naming.IsServer(c) {
			sum += c.SizeRw
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes = sum
}
