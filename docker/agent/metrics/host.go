package metrics

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/agent/imagecache"
	"ndock/docker/agent/instance"
	"ndock/docker/engine"
)

// partsOf returns what is looked at for a scrape.
func partsOf(of Sources) []*part {
	return []*part{
		newEnginePart(of.Engine), newDiskPart(of.Engine), newServersPart(of.Instances), newImagesPart(of.Images),
		newOrphansPart(of.Instances.Orphans), newPortsPart(of.Instances.Ports), newFailurePart(of.LastFailure),
	}
}

// newEnginePart tells whether Docker Engine answers, and which one it is.
func newEnginePart(docker engine.Daemon) *part {
	up := describe("ndock_engine_up", "Whether Docker Engine answers.")
	info := describe("ndock_engine_info", "Always 1; the labels say which Docker Engine this is.", "version", "api")
	return &part{name: "engine", collect: func(ctx context.Context, send send) error {
		version, err := docker.ServerVersion(ctx)
		send(gauge(up, number(err == nil)))
		if err == nil {
			send(gauge(info, 1, text(version.Version), text(version.APIVersion)))
		}
		return err
	}}
}

// newDiskPart tells of the disk of Docker's data.
func newDiskPart(docker engine.Daemon) *part {
	size := describe("ndock_disk_size_bytes", "Size of the file system of Docker's data.")
	available := describe("ndock_disk_available_bytes", "What is free of it.")
	return &part{name: "disk", collect: func(ctx context.Context, send send) error {
		info, err := docker.Info(ctx)
		if err != nil {
			return err
		}
		var disk unix.Statfs_t
		if err := unix.Statfs(info.DockerRootDir, &disk); err != nil {
			return fmt.Errorf("size of %s: %w", info.DockerRootDir, err)
		}
		send(gauge(size, float64(disk.Blocks)*float64(disk.Bsize)))
		send(gauge(available, float64(disk.Bavail)*float64(disk.Bsize)))
		return nil
	}}
}

// newImagesPart tells of the images on this host, and of those that were loaded.
func newImagesPart(images *imagecache.Cache) *part {
	cached := describe("ndock_cached_images", "Images of Glance that are in Docker.")
	size := describe("ndock_cached_images_bytes", "Bytes of these images, unpacked. A layer that several have counts for each.")
	loads := describe("ndock_image_loads_total", "Loads of images, by outcome: done or failed.", "outcome")
	layers := describe("ndock_image_layers_total", "Layers of images that were loaded, by source: sent, or present in Docker already.", "source")
	received := describe("ndock_image_received_bytes_total", "Bytes of images that were received.")
	return &part{name: "images", collect: func(ctx context.Context, send send) error {
		counts := images.Counts()
		send(counter(loads, float64(counts.Loaded), Done))
		send(counter(loads, float64(counts.Failed), Failed))
		send(counter(layers, float64(counts.LayersSent), "sent"))
		send(counter(layers, float64(counts.LayersPresent), "present"))
		send(counter(received, float64(counts.Bytes)))
		found, err := images.Size(ctx)
		if err == nil {
			send(gauge(cached, float64(found.Images)))
			send(gauge(size, float64(found.Bytes)))
		}
		return err
	}}
}

// newOrphansPart tells what is left of servers that are gone.
func newOrphansPart(orphans *instance.Orphans) *part {
	count := describe("ndock_orphans", "What is here of servers that are gone, by kind; sure is false for what may be a server that is only being made.", "kind", "sure")
	return &part{name: "orphans", collect: func(ctx context.Context, send send) error {
		found, err := orphans.List(ctx)
		if err != nil {
			return err
		}
		counts := map[agent.Orphan]int{}
		for _, one := range found {
			counts[agent.Orphan{Kind: one.Kind, Sure: one.Sure}]++
		}
		for _, kind := range []string{"server", "port", "network", "image", "container"} {
			for _, sure := range []bool{true, false} {
				send(gauge(count, float64(counts[agent.Orphan{Kind: kind, Sure: sure}]), kind, fmt.Sprint(sure)))
			}
		}
		return nil
	}}
}

// newPortsPart tells of the veth pairs of servers' ports.
func newPortsPart(ports *instance.Ports) *part {
	count := describe("ndock_ports", "Ports of servers that are plugged into this host.")
	return &part{name: "ports", collect: func(_ context.Context, send send) error {
		plugged, err := ports.Plugged()
		if err == nil {
			send(gauge(count, float64(plugged)))
		}
		return err
	}}
}

// newFailurePart tells when a request failed last.
func newFailurePart(last func() time.Time) *part {
	at := describe("ndock_agent_last_failure_timestamp_seconds", "When a request failed last because of this host, as seconds since 1970. Not there if none has since the agent was started.")
	return &part{name: "failure", collect: func(_ context.Context, send send) error {
		if failed := last(); !failed.IsZero() {
			send(gauge(at, float64(failed.UnixMilli())/1000))
		}
		return nil
	}}
}
