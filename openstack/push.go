package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"ndock/docker/transfer"
	"ndock/openstack/transport"
)

// DockerImage is what is Docker's about an image. Where nothing is known yet, it is empty.
type DockerImage struct {
	ID           string // sha256:… of its configuration
	Digest       string // sha256:… of its manifest, where its source knows it by that
	Tags         []string
	Architecture string // as Glance and Nova name it
	UnpackedSize int64  // in bytes
	Layers       int
}

// or returns what is known, and what was found where nothing is.
func (d DockerImage) or(found DockerImage) DockerImage {
	if len(d.Tags) > 0 {
		found.Tags = d.Tags
	}
	return DockerImage{
		ID: cmp.Or(d.ID, found.ID), Digest: cmp.Or(d.Digest, found.Digest), Tags: found.Tags, Architecture: cmp.Or(d.Architecture, found.Architecture),
		UnpackedSize: cmp.Or(d.UnpackedSize, found.UnpackedSize), Layers: cmp.Or(d.Layers, found.Layers),
	}
}

// Content is an image's bytes, and what they turned out to be, once they were read to their end.
type Content interface {
	io.ReadCloser
	Found() DockerImage
	// Layers returns all layers of an image whose bytes leave some of them out: those that have an Image. It is known
	// before the bytes are read, as is what is Found of such an image.
	Layers() []StoredLayer
}

// PushOptions say what an image is and how it shall stand in Glance.
type PushOptions struct {
	Name       string
	Docker     DockerImage // as far as it is known before the bytes are read
	Visibility string
	Protected  bool
	Properties map[string]string // the user's, which may not be ndock's own
	Force      bool              // send it though it is there
	Whole      bool              // one that is there in layers does not count

	// Open returns the image's bytes; it is called when they are needed, and again for another attempt. It may send layers
	// to Glance first.
	Open    func(ctx context.Context) (Content, error)
	Retries int // attempts after the first, where Glance or the network failed
	// Progress is told of all bytes sent.
	Progress io.Writer
	// Retrying is told why an attempt failed, and how long it is until the next. It may be nil.
	Retrying func(err error, pause time.Duration)
}

// Pushed is what came of a push.
type Pushed struct {
	Image
	Existed bool // it was there already, and was not sent or is not kept twice
}

// PushImage streams a Docker image into Glance. The same image again is recognised: before it is sent where its id is
// known, and else after. When it fails half-way or is interrupted, Glance keeps nothing of it
// but layers that it has whole.
func (c *Cloud) PushImage(ctx context.Context, o PushOptions) (Pushed, error) {
	if err := o.check(); err != nil {
		return Pushed{}, err
	}
	existing, there, err := c.existing(ctx, o, o.Docker)
	if err != nil || there {
		return Pushed{Image: existing, Existed: there}, err
	}
	for attempt := 0; ; attempt++ {
		pushed, err := c.push(ctx, o)
		pause := max(time.Second<<min(attempt, 5), asksToWait(err))
		if err == nil || attempt >= o.Retries || ctx.Err() != nil || !passes(err) || pause > transport.LongestBackoff {
			return pushed, err
		}
		if o.Retrying != nil {
			o.Retrying(err, pause)
		}
		if ended := transfer.Wait(ctx, pause); ended != nil {
			return Pushed{}, errors.Join(ended, err)
		}
	}
}

func (o PushOptions) check() error {
	ours := propertiesOf(DockerImage{Digest: "any"})
	maps.Copy(ours, propertiesOfLayers([]StoredLayer{{Image: "any"}}))
	maps.Copy(ours, map[string]string{propertyManifestType: "", propertySubject: "", propertyTaggedAt: "", propertyUntaggedAt: ""})
	for name := range ours {
		if _, taken := o.Properties[name]; taken {
			return &Error{Op: fmt.Sprintf("push image %q", o.Name), Err: fmt.Errorf("property %s is ndock's own to set", name)}
		}
	}
	return nil
}

func (c *Cloud) existing(ctx context.Context, o PushOptions, image DockerImage) (Image, bool, error) {
	property, value := propertyID, image.ID
	if value == "" {
		property, value = propertyDigest, image.Digest
	}
	if o.Force || value == "" {
		return Image{}, false, nil
	}
	found, err := c.pushed(ctx, property, value)
	found = slices.DeleteFunc(found, func(image Image) bool { return o.Whole && image.Layered })
	if err != nil || len(found) == 0 {
		return Image{}, false, err
	}
	return found[0], true, nil
}

// push makes one attempt, of which nothing is left if it fails, but for layers that it has sent: the next finds them.
func (c *Cloud) push(ctx context.Context, o PushOptions) (Pushed, error) {
	attempt := &pushAttempt{PushOptions: o, cloud: c}
	defer attempt.close()
	sent, err := c.store(ctx, upload{
		what: fmt.Sprintf("image %q", o.Name), request: o.firstRequest(), open: attempt.open, progress: o.Progress, complete: attempt.complete,
	})
	var exists existsError
	if errors.As(err, &exists) && exists.image.ID != "" {
		return Pushed{Image: exists.image, Existed: true}, nil
	}
	return Pushed{Image: sent}, err
}

// pushAttempt is one attempt of a push. It is in Glance already, without bytes, when its source is opened.
type pushAttempt struct {
	PushOptions
	cloud  *Cloud
	source Content // nil until it is open
}

// open has the layers sent, and returns the image's bytes, and what is known of it by then.
func (a *pushAttempt) open(ctx context.Context) (io.Reader, images.UpdateOpts, error) {
	source, err := a.openSource(ctx)
	if err != nil {
		return nil, nil, err
	}
	a.source = source
	before, asked := a.firstRequest(), a.Docker.ID != ""
	if layers := source.Layers(); len(layers) > 0 {
		if a.Docker = a.Docker.or(source.Found()); !asked {
			if existing, there, err := a.cloud.existing(ctx, a.PushOptions, a.Docker); err != nil || there {
				return nil, nil, errors.Join(err, existsError{existing})
			}
		}
	}
	return source, changesBetween(before, a.request(source.Layers())), nil
}

// complete looks for what the bytes leave out, now that they can be read, and returns what they turned out to be.
func (a *pushAttempt) complete(ctx context.Context) (images.UpdateOpts, error) {
	layers, found := a.source.Layers(), a.source.Found()
	if err := a.cloud.stillThere(ctx, a.Name, layers); err != nil {
		return nil, err
	}
	if a.Docker.ID == "" {
		if existing, there, err := a.cloud.existing(ctx, a.PushOptions, found); err != nil || there {
			return nil, errors.Join(err, existsError{existing})
		}
	}
	return a.completed(found, layers), nil
}

func (a *pushAttempt) close() {
	if a.source != nil {
		_ = a.source.Close() // it has been read, or the attempt has failed
	}
}

// existsError is about an image that Glance had already, which was found when all of it had been sent.
type existsError struct{ image Image }

func (e existsError) Error() string { return "it is there already" }

// openSource returns the image's bytes. What is wrong with the source is unreadable; what Glance says of a layer is not.
func (o PushOptions) openSource(ctx context.Context) (Content, error) {
	source, err := o.Open(ctx)
	var ofGlance *Error
	if err != nil && !errors.As(err, &ofGlance) {
		err = &unreadable{err}
	}
	return source, err
}

// firstRequest has Glance refuse a name, a property or a visibility before any layer is sent. So it is that of an image in
// layers, where it may become one, but has the name that the user will see.
func (o PushOptions) firstRequest() images.CreateOpts {
	if o.Whole {
		return o.request(nil)
	}
	request := o.request([]StoredLayer{{}})
	request.Name = o.Name
	return request
}

// request is for an image that nobody protects yet: half of it could not be removed.
func (o PushOptions) request(layers []StoredLayer) images.CreateOpts {
	properties := propertiesOf(o.Docker)
	maps.Copy(properties, propertiesOfLayers(layers))
	maps.Copy(properties, o.Properties)
	request := images.CreateOpts{
		Name: o.Name, ContainerFormat: "docker", DiskFormat: "raw", MinDisk: minDisk(o.Docker.UnpackedSize), Properties: properties,
	}
	if o.Visibility != "" {
		visibility := images.ImageVisibility(o.Visibility)
		request.Visibility = &visibility
	}
	if hidden := len(layers) > 0; hidden { // until it is known that all of them are there; 'image prune' knows this name
		request.Hidden, request.Name = &hidden, o.hiddenName()
	}
	return request
}

// changesBetween makes one request's image that of another.
func changesBetween(before, after images.CreateOpts) images.UpdateOpts {
	var changes images.UpdateOpts
	if before.Name != after.Name {
		changes = append(changes, images.ReplaceImageName{NewName: after.Name})
	}
	if before.Hidden != nil && after.Hidden == nil {
		changes = append(changes, images.ReplaceImageHidden{NewHidden: false})
	}
	if before.MinDisk != after.MinDisk {
		changes = append(changes, images.ReplaceImageMinDisk{NewMinDisk: after.MinDisk})
	}
	for name, value := range after.Properties {
		if was, there := before.Properties[name]; !there || was != value {
			changes = append(changes, images.UpdateImageProperty{Op: images.AddOp, Name: name, Value: value})
		}
	}
	for name := range before.Properties {
		if _, stays := after.Properties[name]; !stays {
			changes = append(changes, images.UpdateImageProperty{Op: images.RemoveOp, Name: name})
		}
	}
	return changes
}

// hiddenName is by its digest. Glance takes names of 255 characters.
func (o PushOptions) hiddenName() string {
	repository := []rune(repositoryOf(o.Name))
	return string(repository[:min(len(repository), 180)]) + "@" + strings.ReplaceAll(o.Docker.Digest, ":", "-")
}

// completed is what is to be added when the bytes are known.
func (o PushOptions) completed(found DockerImage, layers []StoredLayer) images.UpdateOpts {
	var changes images.UpdateOpts
	if len(layers) > 0 {
		changes = append(changes, images.ReplaceImageName{NewName: o.Name}, images.ReplaceImageHidden{NewHidden: false})
	}
	before := propertiesOf(o.Docker)
	for name, value := range propertiesOf(found) {
		if known := before[name]; known != value && (known == "" || known == "0") {
			changes = append(changes, images.UpdateImageProperty{Op: images.AddOp, Name: name, Value: value})
		}
	}
	if o.Docker.UnpackedSize == 0 && found.UnpackedSize > 0 {
		changes = append(changes, images.ReplaceImageMinDisk{NewMinDisk: minDisk(found.UnpackedSize)})
	}
	if o.Protected {
		changes = append(changes, images.ReplaceImageProtected{NewProtected: true})
	}
	return changes
}

func propertiesOf(image DockerImage) map[string]string {
	properties := map[string]string{
		propertyHypervisor:   "docker",
		propertyArchitecture: image.Architecture,
		propertyID:           image.ID,
		propertyTags:         strings.Join(image.Tags, ","),
		propertySize:         strconv.FormatInt(image.UnpackedSize, 10),
		propertyLayers:       strconv.Itoa(image.Layers),
	}
	if image.Digest != "" {
		properties[propertyDigest] = image.Digest
	}
	return properties
}

// minDisk is the disk that a flavor must have at least, in GiB.
func minDisk(unpacked int64) int {
	const gib = 1 << 30
	return int((unpacked + gib - 1) / gib)
}

// abandon deletes what a failed upload has left, also when the user has interrupted it.
func abandon(client *gophercloud.ServiceClient, id string) error {
	var last error
	err := Wait{Timeout: retryTimeout}.poll(context.Background(), "", func(ctx context.Context) (string, bool, error) {
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
	var refused gophercloud.ErrUnexpectedResponseCode
	if errors.Is(err, transport.ErrRedirected) {
		return false
	}
	return !errors.As(err, &refused) || refused.Actual >= http.StatusInternalServerError || refused.Actual == http.StatusTooManyRequests
}
