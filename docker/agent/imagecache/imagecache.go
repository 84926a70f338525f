// Package imagecache keeps Glance's images in Docker Engine. It checks and loads them, tags them with a name that only the
// agent gives, and removes them when no server has used them for some time.
package imagecache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"runtime"
	"strings"

	"github.com/containerd/errdefs"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
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
	space    *diskspace.Reservations
	facts    facts
	chains   *chains
	counters counters
}

// New returns the cache of an engine. What is known of layers is kept in a directory. Space is that of the engine's disk.
func New(engine Engine, layers string, operators config.Config, space *diskspace.Reservations, log *slog.Logger) *Cache {
	return &Cache{
		engine: engine, config: operators, log: log, locks: keylock.New(), space: space, facts: facts{layers}, chains: &chains{engine: engine},
	}
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

	layers []agent.LeftOutLayer // that it leaves out
	more   *multipart.Reader    // has them, as far as they were sent; nil for a whole archive
}

// Load loads an archive while it is received, and tags it as the Glance image. There is no image unless the body ends
// properly and fits rootGB, the disk of the flavor that it is for in GiB; 0 is for any. What is wrong with the image is a
// fault with the code UnusableImage. One with LayersLeftOut lists the layers that have to be sent, too.
func (c *Cache) Load(ctx context.Context, glanceID string, from Archive, rootGB int64) error {
	release, err := c.locks.Acquire(ctx, glanceID)
	if err != nil {
		return err
	}
	defer release()
	if present, err := c.Has(ctx, glanceID); err != nil || present {
		return err
	}
	err = c.loadAs(ctx, glanceID, from, rootGB)
	c.countLoad(err)
	return err
}

// loadAs loads an archive and tags it.
func (c *Cache) loadAs(ctx context.Context, glanceID string, from Archive, rootGB int64) error {
	id, err := c.load(ctx, glanceID, from, rootGB)
	if err != nil {
		return fmt.Errorf("load: %w", leftOut(err))
	}
	if err := c.checkPlatform(ctx, id); err != nil {
		return errors.Join(err, engine.Discard(c.engine, id))
	}
	if err := c.engine.ImageTag(ctx, id, naming.ImageTag(glanceID)); err != nil {
		return errors.Join(err, engine.Discard(c.engine, id))
	}
	return nil
}

// loading is one archive on its way into Docker.
type loading struct {
	*Cache
	from      Archive
	layers    *sentLayers // nil for a whole archive
	directory string      // where Docker keeps its data
	rootGB    int64
	release   func() // gives back the space that is reserved there
	found     int    // layers of the archive, those included that it leaves out
}

// load streams into Docker what it needs of the archive, and returns the image's id.
func (c *Cache) load(ctx context.Context, glanceID string, from Archive, rootGB int64) (string, error) {
	defer context.AfterFunc(ctx, from.Stop)()
	info, err := c.engine.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask Docker where it keeps images: %w", err)
	}
	layers, err := c.layersOf(ctx, from, info)
	if err != nil {
		return "", err
	}
	l := &loading{Cache: c, from: from, layers: layers, directory: info.DockerRootDir, rootGB: rootGB, release: func() {}}
	id, err := l.stream(ctx)
	if err != nil && id != "" {
		return id, errors.Join(err, engine.Discard(c.engine, id))
	}
	if err == nil {
		c.countLayers(l)
	}
	if err == nil && layers != nil {
		c.log.Info("image loaded", "image", glanceID, "layers_sent", len(layers.read), "layers_had", len(layers.had))
	}
	return id, err
}

func (l *loading) stream(ctx context.Context) (string, error) {
	checked, intoDocker := io.Pipe()
	checking := make(chan error, 1)
	go func() {
		err := l.check(intoDocker)
		intoDocker.CloseWithError(err)
		checking <- err
	}()
	id, err := docker.LoadImage(ctx, l.engine, checked)
	if err == nil {
		// Docker may stop at the archive's last block. The body has to end properly all the same: a caller that finds
		// the image's signature to be wrong breaks it off.
		_, err = io.Copy(io.Discard, checked)
	}
	if err != nil {
		l.from.Stop()
	}
	checked.CloseWithError(errors.Join(errors.New("docker did not read on"), err))
	if problem := <-checking; saysMore(problem) {
		err = problem
	}
	l.release()
	return id, l.explain(err)
}

// check copies a checked archive to dst, while there is space for it. Docker unpacks it when it is complete: the space for
// that is reserved before.
func (l *loading) check(dst io.Writer) error {
	options := archive.Options{
		Platform: archive.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Limits:   &archive.Limits{Unpacked: l.config.ImageMaxUnpackedGB << 30, Setting: "image_max_unpacked_gb"},
		Accept:   l.accept,
	}
	if l.layers != nil {
		options.Layers = l.layers
	}
	found, err := archive.Load(&checkedWriter{Writer: dst, check: l.checkSpace}, l.from.Body, options)
	if err == nil && l.layers != nil {
		l.layers.keepFacts(found.Layers)
	}
	l.found = len(found.Layers)
	return err
}

// checkSpace refuses to write on where the disk is nearly full.
func (l *loading) checkSpace() error {
	done, err := l.reserve(diskspace.Space{Bytes: checkEvery})
	if err == nil {
		done()
	}
	return err
}

// accept is called before the archive is complete to Docker.
func (l *loading) accept(found archive.Contents) error {
	if l.layers != nil {
		if err := l.layers.end(); err != nil {
			return err
		}
	}
	if err := limits.CheckImageSize(found.Unpacked, l.rootGB); err != nil {
		return err
	}
	done, err := l.reserve(diskspace.Space{Bytes: found.Disk, Files: int64(found.Files)})
	if err == nil {
		l.release = done
	}
	return err
}

func (l *loading) reserve(wanted diskspace.Space) (release func(), err error) {
	release, err = l.space.Reserve(l.directory, wanted)
	return release, noRoom(err)
}

// saysMore tells whether the check failed by itself. Otherwise Docker's error is the reason.
func saysMore(err error) bool {
	var refused *archive.Error
	var fault *agent.Fault
	return errors.As(err, &refused) || errors.As(err, &fault)
}

// explain makes a fault of Docker's reason to refuse an image. It may be a layer that Docker had a moment ago.
func (l *loading) explain(err error) error {
	var reason *docker.LoadRefused
	if !errors.As(err, &reason) {
		return err
	}
	if l.layers != nil && len(l.layers.had) > 0 {
		l.log.Warn("Docker refuses an image without the layers that it had", "reason", reason)
		return &archive.LayersLeftOut{Layers: l.layers.had}
	}
	return classify(reason.Reason)
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
