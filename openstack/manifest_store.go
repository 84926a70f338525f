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
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// StoredManifest is a manifest that becomes an image.
type StoredManifest struct {
	Repository string // without the project
	Tag        string // "" for one that is pushed by its digest
	Digest     string // sha256:…
	MediaType  string
	Subject    string        // digest of the manifest that this one is about; "" for none
	Docker     DockerImage   // what servers boot of it
	Boots      bool          // servers boot it; others are hidden for ever
	Layers     []StoredLayer // all blobs that it names; those with an Image are left out of the content
	Content    io.Reader
}

// The longest names that Glance has, and the longest of a repository whose images have room for a digest.
const (
	longestName       = 255
	longestRepository = longestName - len("@sha256-") - 64
)

func (m StoredManifest) name() string {
	if m.Tag == "" {
		return nameWithDigest(m.Repository, m.Digest)
	}
	return nameWithTag(m.Repository, m.Tag)
}

func (m StoredManifest) check() error {
	switch {
	case !repositoryName.MatchString(m.Repository), m.Tag != "" && !tagName.MatchString(m.Tag), !manifestDigest.MatchString(m.Digest):
		return &NameError{fmt.Errorf("%q cannot be the name of an image in Glance", m.name())}
	case len(m.Repository) > longestRepository, len(m.name()) > longestName:
		return &NameError{fmt.Errorf("the name %q is too long for Glance: a repository has %d characters at most, and %d with its tag", m.name(), longestRepository, longestName)}
	}
	return nil
}

// ErrSnapshot is the error about a tag that cannot be taken from a snapshot of a server: that is its name, which Nova gave it.
var ErrSnapshot = errors.New("it is a snapshot of a server, and keeps its name: delete it by its digest")

// NameError is the error about a name that no image in Glance has.
type NameError struct{ cause error }

func (e *NameError) Error() string { return e.cause.Error() }

// StoreManifest makes an image of a manifest, and takes the tag from the images that had it. It is hidden until it is known
// that all its layers are there, which is looked at when its bytes can be read; if some are gone then, the error is
// ErrLayersGone. If it fails, Glance keeps nothing of it, unless it may be complete: then another push may have given it its tag.
//
// Each push of a tag makes an image, so two that are pushed at once have the same name for a while. Then the newest has the
// tag, for everyone who looks, and whoever has pushed one hides all others that he sees, be it his own. The newest is so by
// a time that it gets when it begins, later than that of each image that had the tag by then. So who pushes after another
// has ended wins, whatever the clocks of Glance's hosts say, and two never hide each other. What could not be hidden is
// told to warn: the next push hides it.
func (c *Cloud) StoreManifest(ctx context.Context, m StoredManifest, warn func(error)) (ManifestImage, error) {
	if err := m.check(); err != nil {
		return ManifestImage{}, err
	}
	taggedAt := time.Now().UTC()
	if m.Tag != "" {
		before, err := c.Tagged(ctx, m.Repository, m.Tag)
		if err != nil {
			return ManifestImage{}, err
		}
		if len(before) > 0 && !before[0].tagTime().Before(taggedAt) {
			taggedAt = before[0].tagTime().Add(time.Nanosecond)
		}
	}
	sent, err := c.store(ctx, upload{
		what: fmt.Sprintf("image %q", m.name()), request: m.request(taggedAt), open: ready(m.Content), shared: true,
		complete: func(ctx context.Context) (images.UpdateOpts, error) {
			return m.changes(), c.stillThere(ctx, m.name(), m.Layers)
		},
	})
	if err != nil {
		return ManifestImage{}, err
	}
	stored := ManifestImage{Image: sent, Repository: m.Repository, Tag: m.Tag}
	if m.Tag != "" {
		if err := c.supersede(ctx, m.Repository, m.Tag); err != nil {
			warn(err)
		}
	}
	return stored, nil
}

// request is for an image that is hidden, with the name that it has without its tag.
func (m StoredManifest) request(taggedAt time.Time) images.CreateOpts {
	hidden := true
	return images.CreateOpts{
		Name: nameWithDigest(m.Repository, m.Digest), Hidden: &hidden, ContainerFormat: "docker", DiskFormat: "raw",
		MinDisk: minDisk(m.Docker.UnpackedSize), Properties: m.properties(taggedAt),
	}
}

// properties are none of the empty ones that are told of other images: to Nova an empty architecture is a wrong one. The type
// of the manifest comes with the changes: until then nobody takes the image for one that is whole.
func (m StoredManifest) properties(taggedAt time.Time) map[string]string {
	properties := map[string]string{}
	if m.Boots {
		maps.Copy(properties, propertiesOf(m.Docker))
	}
	layers := m.eachLayer()
	if slices.ContainsFunc(layers, func(layer StoredLayer) bool { return layer.Image != "" }) {
		maps.Copy(properties, propertiesOfLayers(layers))
	}
	var size int64
	for _, layer := range layers {
		size += layer.Size
	}
	maps.Copy(properties, map[string]string{
		propertyStored: strconv.FormatInt(size, 10), propertyDigest: m.Digest, propertySubject: m.Subject,
		propertyTaggedAt: taggedAt.Format(time.RFC3339Nano),
	})
	maps.DeleteFunc(properties, func(_, value string) bool { return value == "" })
	return properties
}

// eachLayer returns each of the layers once.
func (m StoredManifest) eachLayer() []StoredLayer {
	seen := map[string]bool{}
	var each []StoredLayer
	for _, layer := range m.Layers {
		if !seen[layer.Digest] {
			each = append(each, layer)
		}
		seen[layer.Digest] = true
	}
	return each
}

// changes make the image one of a manifest, give it its tag, and show it if servers boot it.
func (m StoredManifest) changes() images.UpdateOpts {
	changes := images.UpdateOpts{images.UpdateImageProperty{Op: images.AddOp, Name: propertyManifestType, Value: m.MediaType}}
	if m.Tag == "" {
		return changes
	}
	changes = append(changes, images.ReplaceImageName{NewName: m.name()})
	if m.Boots {
		changes = append(changes, images.ReplaceImageHidden{NewHidden: false})
	}
	return changes
}

// supersede takes a tag from all images but the newest that has it. The image is there whatever becomes of the request.
func (c *Cloud) supersede(ctx context.Context, repository, tag string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryTimeout)
	defer cancel()
	found, err := c.holders(ctx, repository, tag)
	if err != nil || len(found.manifests) == 0 {
		return err
	}
	return c.hideAll(ctx, repository, found.olderThan(found.manifests[0]))
}

// hideAll takes the tag from as many images as it can.
func (c *Cloud) hideAll(ctx context.Context, repository string, all []Image) error {
	var failed []error
	for _, image := range all {
		failed = append(failed, c.hide(ctx, repository, image))
	}
	return errors.Join(failed...)
}

// hide gives an image the name that it has without a tag. One that is gone needs none.
func (c *Cloud) hide(ctx context.Context, repository string, image Image) error {
	client, err := c.glance()
	if err != nil {
		return err
	}
	changes := images.UpdateOpts{images.ReplaceImageHidden{NewHidden: true}}
	if digest := cmp.Or(image.Digest, image.DockerID); manifestDigest.MatchString(digest) {
		changes = append(changes, images.ReplaceImageName{NewName: nameWithDigest(repository, digest)})
	}
	if image.ManifestType == "" { // or else it would look like one whose push is under way
		changes = append(changes, images.UpdateImageProperty{Op: images.AddOp, Name: propertyUntaggedAt, Value: time.Now().UTC().Format(time.RFC3339Nano)})
	}
	_, err = images.Update(ctx, client, image.ID, changes).Extract()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return explain(fmt.Sprintf("take the name from image %q (%s)", image.Name, image.ID), err)
	}
	return nil
}

// Untag takes a tag away from an image of a repository, and from older ones that still have it. It does nothing if the image has it
// no more, and returns ErrSnapshot for a snapshot.
func (c *Cloud) Untag(ctx context.Context, repository, tag, id string) error {
	found, err := c.holders(ctx, repository, tag)
	if err != nil {
		return err
	}
	image, has := found.with(id)
	switch {
	case !has:
		return nil
	case image.Snapshot:
		return fmt.Errorf("%w: %q", ErrSnapshot, image.Name)
	}
	return c.hideAll(ctx, repository, append(found.olderThan(image), image.Image))
}

// DeleteManifest deletes an image of a repository. Its tag goes with it: an older image that still has it does not get it back.
func (c *Cloud) DeleteManifest(ctx context.Context, repository, tag, id string) error {
	name := repository
	if tag != "" {
		name = nameWithTag(repository, tag)
		found, err := c.holders(ctx, repository, tag)
		if err != nil {
			return err
		}
		if image, has := found.with(id); has {
			if err := c.hideAll(ctx, repository, found.olderThan(image)); err != nil {
				return err
			}
		}
	}
	client, err := c.glance()
	if err != nil {
		return err
	}
	if err := images.Delete(ctx, client, id).ExtractErr(); err != nil {
		return explain(fmt.Sprintf("delete image %q (%s)", name, id), err)
	}
	return nil
}
