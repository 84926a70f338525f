package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// PushOptions say what an image is and how it shall stand in Glance.
type PushOptions struct {
	Name         string
	DockerID     string
	Tags         []string
	Architecture string
	UnpackedSize int64 // in bytes
	Visibility   string
	Protected    bool
	Properties   map[string]string // the user's, which may not be ndock's own
	Force        bool              // send it though it is there

	// Open returns the image's bytes; it is called when they are needed.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Progress is told of all bytes sent.
	Progress io.Writer
}

// Pushed is what came of a push.
type Pushed struct {
	Image
	Existed bool // it was there already, and was not sent
}

// PushImage streams a Docker image into Glance. The same image again is recognised and not sent. When it fails
// half-way or is interrupted, Glance keeps nothing of it.
func (c *Cloud) PushImage(ctx context.Context, o PushOptions) (Pushed, error) {
	if err := o.check(); err != nil {
		return Pushed{}, err
	}
	if !o.Force {
		existing, err := c.pushed(ctx, o.DockerID)
		if err != nil {
			return Pushed{}, err
		}
		if len(existing) > 0 {
			return Pushed{Image: existing[0], Existed: true}, nil
		}
	}
	client, err := c.glance()
	if err != nil {
		return Pushed{}, err
	}
	created, err := images.Create(ctx, client, o.request()).Extract()
	if err != nil {
		return Pushed{}, explain(fmt.Sprintf("create image %q", o.Name), err)
	}
	if err := c.fill(ctx, client, created.ID, o); err != nil {
		return Pushed{}, errors.Join(err, abandon(client, created.ID))
	}
	done, err := images.Get(ctx, client, created.ID).Extract()
	if err != nil {
		return Pushed{}, explain(fmt.Sprintf("look at image %q", o.Name), err)
	}
	return Pushed{Image: imageFrom(*done)}, nil
}

func (o PushOptions) check() error {
	for name := range o.properties() {
		if _, taken := o.Properties[name]; taken {
			return &Error{Op: fmt.Sprintf("push image %q", o.Name), Err: fmt.Errorf("property %s is ndock's own to set", name)}
		}
	}
	return nil
}

func (o PushOptions) request() images.CreateOpts {
	visibility := images.ImageVisibility(o.Visibility)
	properties := o.properties()
	maps.Copy(properties, o.Properties)
	request := images.CreateOpts{
		Name: o.Name, ContainerFormat: "docker", DiskFormat: "raw", MinDisk: minDisk(o.UnpackedSize), Properties: properties,
	}
	if o.Visibility != "" {
		request.Visibility = &visibility
	}
	if o.Protected {
		request.Protected = &o.Protected
	}
	return request
}

func (o PushOptions) properties() map[string]string {
	return map[string]string{
		propertyHypervisor:   "docker",
		propertyArchitecture: o.Architecture,
		propertyID:           o.DockerID,
		propertyTags:         strings.Join(o.Tags, ","),
		propertySize:         strconv.FormatInt(o.UnpackedSize, 10),
	}
}

// minDisk is the disk that a flavor must have at least, in GiB.
func minDisk(unpacked int64) int {
	const gib = 1 << 30
	return int((unpacked + gib - 1) / gib)
}

// fill sends the bytes. A source that fails makes the request fail, so that Glance never takes half an image.
func (c *Cloud) fill(ctx context.Context, client *gophercloud.ServiceClient, id string, o PushOptions) error {
	source, err := o.Open(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	watched := &watchedReader{from: source, progress: o.Progress}
	err = imagedata.Upload(ctx, client, id, watched).ExtractErr()
	if failed := watched.stop(); failed != nil { // the cause; what the service said is its echo
		return fmt.Errorf("read image %q: %w", o.Name, failed)
	}
	if err != nil {
		return explain(fmt.Sprintf("upload image %q", o.Name), err)
	}
	return nil
}

// watchedReader counts what is read and keeps the error that reading ended in, until it is stopped: where a service
// answers early, the transport may still be reading.
type watchedReader struct {
	from io.Reader

	mu       sync.Mutex // guards all below
	progress io.Writer
	failed   error
	stopped  bool
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return n, err
	}
	if w.progress != nil {
		if _, err := w.progress.Write(p[:n]); err != nil {
			w.progress = nil // a bar that cannot be drawn is no reason to stop
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.failed = err
	}
	return n, err
}

// Seek refuses. gophercloud seeks when the service did not take the token, to send all again with a new one; a
// reader that could not seek it would send from where it is, and Glance would have half an image for a whole one.
func (w *watchedReader) Seek(int64, int) (int64, error) {
	return 0, errors.New("the token ended before all was sent; try again")
}

// stop ends the watch and returns what reading has failed with until then.
func (w *watchedReader) stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	return w.failed
}

// patience is how long a Glance that is away is waited for, to remove what it has of a failed upload.
const patience = 30 * time.Second

// abandon deletes what a failed upload has left, also when the user has interrupted it.
func abandon(client *gophercloud.ServiceClient, id string) error {
	var last error
	err := Wait{Timeout: patience}.poll(context.Background(), "", func(ctx context.Context) (string, bool, error) {
		last = images.Delete(ctx, client, id).ExtractErr()
		return "", last == nil || !isAway(last), nil
	})
	if err == nil && (last == nil || isMissing(last)) {
		return nil
	}
	return &Error{Op: "remove the half-sent image " + id, Err: last, hint: "'ndock image delete " + id + "' does it later"}
}

// isAway is true of a service that does not answer, or not now.
func isAway(err error) bool {
	var answer gophercloud.ErrUnexpectedResponseCode
	return !errors.As(err, &answer) || answer.Actual >= http.StatusInternalServerError
}
