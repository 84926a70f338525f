// Package imagecache keeps Glance's images in Docker Engine. It checks and loads them, tags them with a name that only the
// agent gives, and removes them when no server has used them for some time.
package imagecache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"

	"github.com/containerd/errdefs"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/keylock"
	"ndock/docker/agent/limits"
	"ndock/docker/agent/naming"
	"ndock/docker/archive"
	"ndock/docker/engine"
)

// Engine is what it asks of Docker Engine.
type Engine interface {
	engine.Containers
	engine.Images
	engine.Daemon
}

// Cache has the images of Glance that are on this host.
type Cache struct {
	engine   Engine
	config   config.Config
	log      *slog.Logger
	locks    *keylock.Locks // by image: it is loaded once
	reserved reservations
}

// New returns the cache of an engine.
func New(engine Engine, operators config.Config, log *slog.Logger) *Cache {
	return &Cache{engine: engine, config: operators, log: log, locks: keylock.New()}
}

// Has tells whether an image is here.
func (c *Cache) Has(ctx context.Context, glanceID string) (bool, error) {
	if !naming.IsUUID(glanceID) {
		return false, agent.Faultf(agent.BadRequest, "%q is no image's id", glanceID)
	}
	_, err := c.engine.ImageInspect(ctx, naming.ImageTag(glanceID))
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// An Archive is a Docker archive that is being received.
type Archive struct {
	Body io.Reader
	Stop func() // makes Body return an error: no context ends the reading of a body that does not arrive
}

// Load loads an archive while it is received, and tags it as the Glance image. There is no image unless the body ends
// properly and fits rootGB, the disk of the flavor that it is for in GiB; 0 is for any. What is wrong with the image is a
// fault with the code UnusableImage.
func (c *Cache) Load(ctx context.Context, glanceID string, from Archive, rootGB int64) error {
	release, err := c.locks.Acquire(ctx, glanceID)
	if err != nil {
		return err
	}
	defer release()
	if present, err := c.Has(ctx, glanceID); err != nil || present {
		return err
	}
	id, err := c.load(ctx, from, rootGB)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := c.checkPlatform(ctx, id); err != nil {
		return errors.Join(err, engine.Discard(c.engine, id))
	}
	if err := c.engine.ImageTag(ctx, id, naming.ImageTag(glanceID)); err != nil {
		return errors.Join(err, engine.Discard(c.engine, id))
	}
	return nil
}

// load streams into Docker what it needs of the archive, and returns the image's id.
func (c *Cache) load(ctx context.Context, from Archive, rootGB int64) (string, error) {
	defer context.AfterFunc(ctx, from.Stop)()
	info, err := c.engine.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask Docker where it keeps images: %w", err)
	}
	checked, intoDocker := io.Pipe()
	checking := make(chan error, 1)
	unpacking := func() {}
	go func() {
		err := c.check(intoDocker, from.Body, info.DockerRootDir, rootGB, &unpacking)
		intoDocker.CloseWithError(err)
		checking <- err
	}()
	id, err := c.loadChecked(ctx, checked)
	if err == nil {
		// Docker may stop at the archive's last block. The body has to end properly all the same: a caller that finds
		// the image's signature to be wrong breaks it off.
		_, err = io.Copy(io.Discard, checked)
	}
	if err != nil {
		from.Stop()
	}
	checked.CloseWithError(errors.Join(errors.New("docker did not read on"), err))
	if problem := <-checking; saysMore(problem) {
		err = problem
	}
	unpacking()
	if err != nil && id != "" {
		err = errors.Join(err, engine.Discard(c.engine, id))
	}
	return id, err
}

// check copies a checked archive to dst, while there is space for it. Docker unpacks it when it is complete: the space for
// that is reserved before, until release is called.
func (c *Cache) check(dst io.Writer, body io.Reader, directory string, rootGB int64, release *func()) error {
	spare := c.config.ImageReserveGB << 30
	watched := &checkedWriter{Writer: dst, check: func() error {
		done, err := c.reserved.reserve(directory, space{bytes: checkEvery}, spare)
		if err == nil {
			done()
		}
		return err
	}}
	_, err := archive.Load(watched, body, archive.Options{
		Platform: archive.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Limits:   &archive.Limits{Unpacked: c.config.ImageMaxUnpackedGB << 30, Setting: "image_max_unpacked_gb"},
		Accept: func(found archive.Contents) error {
			if err := limits.CheckImageSize(found.Unpacked, rootGB); err != nil {
				return err
			}
			done, err := c.reserved.reserve(directory, space{bytes: found.Disk, files: int64(found.Files)}, spare)
			if err == nil {
				*release = done
			}
			return err
		},
	})
	return err
}

// saysMore tells whether the check failed by itself. Otherwise Docker's error is the reason.
func saysMore(err error) bool {
	var refused *archive.Error
	var fault *agent.Fault
	return errors.As(err, &refused) || errors.As(err, &fault)
}

func (c *Cache) loadChecked(ctx context.Context, checked io.Reader) (string, error) {
	id, err := docker.LoadImage(ctx, c.engine, checked)
	var reason *docker.LoadRefused
	if errors.As(err, &reason) {
		return id, classify(reason.Reason)
	}
	return id, err
}

// classify makes a fault of what Docker says of an image, so that its owner knows what to do. Only the end of the text
// counts: before it may be names of the image's files.
func classify(reason string) error {
	said := ": " + strings.TrimSpace(reason)
	switch {
	case strings.HasSuffix(said, ": no space left on device"):
		return errors.New(reason) // another host may have room
	case strings.HasSuffix(said, ": max depth exceeded"): // 125, as of Docker 28
		return agent.Faultf(agent.UnusableImage, "it has more layers than Docker can store: build it with fewer")
	}
	return agent.Faultf(agent.UnusableImage, "%s", reason)
}

// checkPlatform refuses an image that this host cannot run, which would fail with "exec format error" later.
func (c *Cache) checkPlatform(ctx context.Context, id string) error {
	found, err := c.engine.ImageInspect(ctx, id)
	if err != nil {
		return err
	}
	host := archive.Platform{OS: "linux", Architecture: runtime.GOARCH}
	said := archive.Platform{OS: found.Os, Architecture: found.Architecture}
	if !host.Matches(said.Or(host)) { // some images do not say it
		return agent.Faultf(agent.UnusableImage, "it is for %s/%s, and this host is linux/%s", found.Os, found.Architecture, runtime.GOARCH)
	}
	return nil
}
