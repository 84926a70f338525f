package imagecache

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"ndock/docker/agent"
	"ndock/docker/agent/naming"
)

// Counts is what was loaded since the agent was started.
type Counts struct {
	Loaded        int64 // images
	Failed        int64 // loads of images
	LayersSent    int64 // layers of loaded images that were received
	LayersPresent int64 // layers of loaded images that the engine had
	Bytes         int64 // received, with those of loads that failed
}

// counters are the Counts while they change.
type counters struct{ loaded, failed, layersSent, layersPresent, bytes atomic.Int64 }

// Counts returns what was loaded until now.
func (c *Cache) Counts() Counts {
	return Counts{
		Loaded: c.counters.loaded.Load(), Failed: c.counters.failed.Load(), Bytes: c.counters.bytes.Load(),
		LayersSent: c.counters.layersSent.Load(), LayersPresent: c.counters.layersPresent.Load(),
	}
}

// countLoad counts a load. One that is only asked to be sent with more layers comes again, and has not failed.
func (c *Cache) countLoad(err error) {
	switch {
	case err == nil:
		c.counters.loaded.Add(1)
	case agent.CodeOf(err) != agent.LayersLeftOut:
		c.counters.failed.Add(1)
	}
}

// countLayers counts the layers of an image that was loaded.
func (c *Cache) countLayers(l *loading) {
	present := 0
	if l.layers != nil {
		present = len(l.layers.had)
	}
	c.counters.layersPresent.Add(int64(present))
	c.counters.layersSent.Add(int64(max(0, l.found-present)))
}

// Received returns a body that counts as received for the cache.
func (c *Cache) Received(body io.ReadCloser) io.ReadCloser {
	return &receivedBody{body, &c.counters.bytes}
}

type receivedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(int64(n))
	return n, err
}

// Size is how much there is in the cache.
type Size struct {
	Images int
	Bytes  int64 // of the images, each with all of its layers, shared or not
}

// Size returns how many of Glance's images are on this host.
func (c *Cache) Size(ctx context.Context) (Size, error) {
	found, err := c.engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", naming.ImageTag("*")))})
	if err != nil {
		return Size{}, fmt.Errorf("list images: %w", err)
	}
	var size Size
	for _, one := range found {
		ours := 0
		for _, tag := range one.RepoTags {
			if _, is := naming.GlanceID(tag); is {
				ours++
			}
		}
		size.Images += ours
		if ours > 0 {
			size.Bytes += one.Size
		}
	}
	return size, nil
}
