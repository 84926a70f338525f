package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"ndock/docker"
	"ndock/docker/agent"
	"ndock/docker/archive"
)

// imageTag is the one name that a Glance image has in Docker. Its bytes never change, so neither does what the
// name stands for; and only the agent gives it, whatever an archive calls itself.
func imageTag(glanceID string) string { return "ndock/glance:" + glanceID }

func (s *Server) getImage(_ http.ResponseWriter, r *http.Request) (any, error) {
	present, err := s.present(r.Context(), r.PathValue("id"))
	return agent.Presence{Present: present}, err
}

func (s *Server) present(ctx context.Context, glanceID string) (bool, error) {
	if !uuidPattern.MatchString(glanceID) {
		return false, badRequest("%q is no image's id", glanceID)
	}
	_, err := s.docker.ImageInspect(ctx, imageTag(glanceID))
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// putImage loads a Docker archive, as it comes, and gives it the Glance image's name. Unless the body comes to its
// proper end, there is no image. Nor is there if it does not fit root_gb, the disk of the flavor that it is for.
func (s *Server) putImage(w http.ResponseWriter, r *http.Request) (any, error) {
	glanceID := r.PathValue("id")
	rootGB, err := rootGBOf(r)
	if err != nil {
		return nil, err
	}
	release, err := s.images.acquire(r.Context(), glanceID)
	if err != nil {
		return nil, err
	}
	defer release()
	if present, err := s.present(r.Context(), glanceID); err != nil || present {
		return struct{}{}, err
	}
	stopReading := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) } // which not all writers can
	id, err := s.load(r.Context(), r.Body, stopReading, rootGB)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := s.fits(r.Context(), id); err != nil {
		return nil, errors.Join(err, s.discard(id))
	}
	if err := s.docker.ImageTag(r.Context(), id, imageTag(glanceID)); err != nil {
		return nil, errors.Join(err, s.discard(id))
	}
	return struct{}{}, nil
}

// rootGBOf is the disk of the flavor that an image is for, in GiB; 0 for any.
func rootGBOf(r *http.Request) (int64, error) {
	query := r.URL.Query()
	if !query.Has("root_gb") {
		return 0, nil
	}
	gb, err := strconv.ParseInt(query.Get("root_gb"), 10, 32)
	if err != nil || gb < 0 {
		return 0, badRequest("root_gb: %q is no size of a disk", query.Get("root_gb"))
	}
	return gb, nil
}

// fitsFlavor refuses an image of so many bytes for a new server whose flavor has a smaller disk. Without one, it has any.
func fitsFlavor(size, rootGB int64) error {
	if rootGB > 0 && size > rootGB<<30 {
		return unusableFlavor("the image unpacks to %d MiB, more than the flavor's disk of %d GiB: boot it with a flavor of a larger disk", size>>20, rootGB)
	}
	return nil
}

// load streams into Docker what it needs of the archive, and returns the id that Docker computes from it.
// No context ends the reading of a body that does not come: stopReading does.
func (s *Server) load(ctx context.Context, body io.Reader, stopReading func(), rootGB int64) (string, error) {
	defer context.AfterFunc(ctx, stopReading)()
	info, err := s.docker.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask Docker where it keeps images: %w", err)
	}
	checked, intoDocker := io.Pipe()
	checking := make(chan error, 1)
	unpacking := func() {}
	go func() {
		err := s.check(intoDocker, body, info.DockerRootDir, rootGB, &unpacking)
		intoDocker.CloseWithError(err)
		checking <- err
	}()
	id, err := s.loadChecked(ctx, checked)
	if err == nil {
		// Docker may have seen enough at the archive's last block. The body has to come to its end all the same: a
		// caller who finds the signature of the whole to be wrong leaves it without one.
		_, err = io.Copy(io.Discard, checked)
	}
	if err != nil {
		stopReading()
	}
	checked.CloseWithError(errors.Join(errors.New("docker did not read on"), err))
	if problem := <-checking; saysMore(problem) {
		err = problem
	}
	unpacking()
	if err != nil && id != "" {
		err = errors.Join(err, s.discard(id))
	}
	return id, err
}

// check passes an archive on to Docker, while there is room for it. Docker unpacks it when it has come to its end: the
// room for that is promised before, until release is called.
func (s *Server) check(dst io.Writer, body io.Reader, directory string, rootGB int64, release *func()) error {
	reserve := s.rules.ImageReserveGB << 30
	watched := &watchedWriter{Writer: dst, more: func() error {
		done, err := s.room.promise(directory, space{bytes: askEvery}, reserve)
		if err == nil {
			done()
		}
		return err
	}}
	_, err := archive.Load(watched, body, archive.Options{
		Platform: archive.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Layers:   &archive.Limits{Unpacked: s.rules.ImageMaxUnpackedGB << 30, Setting: "image_max_unpacked_gb"},
		Accept: func(found archive.Contents) error {
			if err := fitsFlavor(found.Unpacked, rootGB); err != nil {
				return err
			}
			done, err := s.room.promise(directory, space{bytes: found.Disk, files: int64(found.Files)}, reserve)
			if err == nil {
				*release = done
			}
			return err
		},
	})
	return err
}

// saysMore tells whether an error of the check's is the reason: Docker only saw its input end.
func saysMore(err error) bool {
	var refused *archive.Error
	var fault *agent.Fault
	return errors.As(err, &refused) || errors.As(err, &fault)
}

func (s *Server) loadChecked(ctx context.Context, checked io.Reader) (string, error) {
	id, err := docker.LoadImage(ctx, s.docker, checked)
	var reason *docker.LoadRefused
	if errors.As(err, &reason) {
		return id, refused(reason.Reason)
	}
	return id, err
}

// refused is what Docker said of an image, so that its owner knows what to do. An image names its files as it likes: what is
// the kernel's stands at the end.
func refused(reason string) error {
	said := ": " + strings.TrimSpace(reason)
	switch {
	case strings.HasSuffix(said, ": no space left on device"):
		return errors.New(reason) // another host may have it
	case strings.HasSuffix(said, ": max depth exceeded"): // 125, as of Docker 28
		return unusableImage("it has more layers than Docker can store: build it with fewer")
	}
	return unusableImage("%s", reason)
}

// fits refuses what this host cannot run, before anyone wonders about an "exec format error".
func (s *Server) fits(ctx context.Context, id string) error {
	found, err := s.docker.ImageInspect(ctx, id)
	if err != nil {
		return err
	}
	host := archive.Platform{OS: "linux", Architecture: runtime.GOARCH}
	said := archive.Platform{OS: found.Os, Architecture: found.Architecture}
	if !host.Matches(said.Or(host)) { // some images do not say it
		return unusableImage("it is for %s/%s, and this host is linux/%s", found.Os, found.Architecture, runtime.GOARCH)
	}
	return nil
}

// discard is removeUnused for those to whom it is the same whether the image is gone.
func (s *Server) discard(id string) error {
	_, err := s.removeUnused(id)
	return err
}

func describe(found image.InspectResponse) agent.Image {
	return agent.Image{ID: found.ID, Architecture: docker.GlanceArchitecture(found.Architecture), Size: found.Size}
}
