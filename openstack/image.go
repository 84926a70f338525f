package openstack

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// The properties that say what is Docker's about an image in Glance.
const (
	propertyHypervisor   = "hypervisor_type"
	propertyArchitecture = "architecture"
	propertyID           = "docker_image_id"
	propertyDigest       = "docker_image_digest"
	propertyTags         = "docker_tags"
	propertySize         = "docker_unpacked_size"
	propertyLayers       = "docker_layers"

	// Of one that a registry has made of a manifest.
	propertyManifestType = "docker_manifest_type" // its media type
	propertySubject      = "docker_subject"       // the digest of the manifest that it is about
	propertyTaggedAt     = "docker_tagged_at"     // which of several of one name is the newest

	// Of one that was pushed without a registry, and whose tag a registry has taken away: when.
	propertyUntaggedAt = "docker_untagged_at"
)

// Image is a Docker image in Glance.
type Image struct {
	ID           string
	Name         string
	Status       string
	Visibility   string
	Size         int64 // of its bytes in Glance
	Protected    bool
	MinDisk      int    // in GiB
	DockerID     string // sha256:…
	Architecture string
	UnpackedSize int64
	Layers       int // 0 where nobody said
	Created      time.Time
	Updated      time.Time
	Hidden       bool   // from lists that do not ask for hidden images
	Layered      bool   // its bytes leave layers out, which are images of their own
	StoredSize   int64  // of all its layers, as stored; 0 where nobody said
	Checksum     string // of its bytes in Glance, sha512:… in most clouds
	Snapshot     bool   // Nova has made it of a server
	Located      bool   // Glance says where its bytes are, and lets users say so, too

	Digest       string // of its manifest, sha256:…
	ManifestType string // media type of its manifest; empty where no registry has made it
	Subject      string // digest of the manifest that this one is about; empty for most

	Owner          string // a project's id
	HypervisorType string // that its servers need; empty for any

	tags   string // with commas between them
	format string // Glance's container_format: docker, or bare for a disk of a virtual machine

	layerDigest, diffID, mediaType string // of one that is a layer, or is to become one

	taggedAt time.Time // zero where no registry has made it
	untagged bool      // a registry has taken its tag away, so that it was whole
}

// How long a property of an image that is ours is at most, in bytes. Anybody may give his images longer ones.
const (
	longestProperty = 255
	longestTags     = 4096
)

// mostTags is how many tags of an image are told.
const mostTags = 128

// Tags returns the names that the image had at its source.
func (i Image) Tags() []string {
	if i.tags == "" {
		return nil
	}
	all := strings.SplitN(i.tags, ",", mostTags+1)
	return all[:min(len(all), mostTags)]
}

func imageFrom(found images.Image) Image {
	upTo := func(longest int, name string) string {
		text, _ := found.Properties[name].(string)
		if len(text) > longest {
			return ""
		}
		return text
	}
	property := func(name string) string { return upTo(longestProperty, name) }
	unpacked, _ := strconv.ParseInt(property(propertySize), 10, 64) // 0 where nobody said
	layers, _ := strconv.Atoi(property(propertyLayers))
	stored, _ := strconv.ParseInt(property(propertyStored), 10, 64)
	tagged, _ := time.Parse(time.RFC3339Nano, property(propertyTaggedAt)) // zero where nobody said
	return Image{
		ID: found.ID, Name: found.Name, Status: string(found.Status), Visibility: string(found.Visibility),
		Size: found.SizeBytes, Protected: found.Protected, MinDisk: found.MinDiskGigabytes,
		DockerID: property(propertyID), tags: upTo(longestTags, propertyTags), Architecture: property(propertyArchitecture), UnpackedSize: unpacked,
		Layers: layers, Created: found.CreatedAt, Updated: found.UpdatedAt, Hidden: found.Hidden,
		Layered: property(propertyTrait) != "", StoredSize: stored,
		Checksum: strings.TrimPrefix(property("os_hash_algo")+":"+property("os_hash_value"), ":"),
		Digest:   property(propertyDigest), ManifestType: property(propertyManifestType), Subject: property(propertySubject), taggedAt: tagged,
		Located: found.Properties["locations"] != nil, Snapshot: property("image_type") == "snapshot" || property("instance_uuid") != "",
		Owner: found.Owner, HypervisorType: property(propertyHypervisor), format: found.ContainerFormat,
		layerDigest: property(propertyLayer), diffID: property(propertyLayerDiffID), mediaType: property(propertyLayerType),
		untagged: property(propertyUntaggedAt) != "",
	}
}

// Taken returns how many bytes of Glance the image takes, with layers that others may share.
func (i Image) Taken() int64 { return max(i.Size, i.StoredSize) }

// Images lists the Docker images that the project can boot.
func (c *Cloud) Images(ctx context.Context) ([]Image, error) {
	return c.listImages(ctx, "list images", imageFilter{"container_format": "docker", "sort": "name:asc"})
}

// MachineImages lists the images that are disks of virtual machines. They are no Docker images, and what of an Image is
// Docker's is empty.
func (c *Cloud) MachineImages(ctx context.Context) ([]Image, error) {
	return c.listImages(ctx, "list images of virtual machines", imageFilter{"container_format": "bare", "sort": "name:asc"})
}

// ImageName returns the name in Glance of an image that Docker calls name: nginx@1 for nginx:1, nginx for nginx:latest.
// It has no colons, because Glance's lists take what stands before one in name=nginx:1 for an operator, and answer 400:
// OpenStack's own clients could not find the image by its name.
func ImageName(name string) string {
	if untagged := strings.TrimSuffix(name, ":latest"); untagged != "" {
		name = untagged
	}
	return strings.ReplaceAll(name, ":", "@")
}

var atDigest = regexp.MustCompile(`:(sha[0-9]+:[0-9a-f]+)$`)

// DockerName returns what Docker calls an image that has this name in Glance. It undoes ImageName, but for the tag latest.
func DockerName(name string) string {
	return atDigest.ReplaceAllString(strings.ReplaceAll(name, "@", ":"), "@$1")
}

// Image finds a Docker image by its name in Glance, by the one that it has in Docker, or by id.
func (c *Cloud) Image(ctx context.Context, nameOrID string) (Image, error) {
	client, err := c.glance()
	if err != nil {
		return Image{}, err
	}
	return lookup[Image]{
		kind: "image",
		byID: func(ctx context.Context, id string) (Image, error) {
			found, err := images.Get(ctx, client, id).Extract()
			if err != nil {
				return Image{}, err
			}
			return imageFrom(*found), nil
		},
		byName: func(ctx context.Context, name string) ([]Image, error) {
			all, err := c.listImages(ctx, "list images", imageFilter{"name": "in:" + quoteIn(name) + "," + quoteIn(ImageName(name))})
			return slices.DeleteFunc(all, func(image Image) bool { // ubuntu:latest is not the disk that is called ubuntu
				return image.Name != name && image.format != "docker"
			}), err
		},
		id:    func(image Image) string { return image.ID },
		names: namesIn(c.Images, func(image Image) string { return image.Name }),
	}.find(ctx, nameOrID)
}

// quoteIn is Glance's way to take a value as it is, commas and all.
func quoteIn(value string) string { return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"` }

// DeleteImage removes an image by name or id.
func (c *Cloud) DeleteImage(ctx context.Context, nameOrID string) error {
	found, err := c.Image(ctx, nameOrID)
	if err != nil {
		return err
	}
	client, err := c.glance()
	if err != nil {
		return err
	}
	if err := images.Delete(ctx, client, found.ID).ExtractErr(); err != nil {
		return explain(fmt.Sprintf("delete image %q", nameOrID), err)
	}
	return nil
}

// pushed returns the project's own images with that property, which says which Docker image they hold. Others' are not
// asked: what they say of themselves proves nothing.
func (c *Cloud) pushed(ctx context.Context, property, value string) ([]Image, error) {
	filter := imageFilter{property: value, "status": "active", "sort": "created_at:asc"}
	if project := c.project(); project != "" {
		filter["owner"] = project
	}
	return c.listImages(ctx, "look for the image in Glance", filter)
}

// imageFilter is a query of Glance's, which knows more of them than gophercloud does.
type imageFilter map[string]string

// with returns the filter with one more condition.
func (f imageFilter) with(name, value string) imageFilter {
	more := imageFilter{name: value}
	for name, value := range f {
		if _, given := more[name]; !given {
			more[name] = value
		}
	}
	return more
}

// pageSize is how many images are asked for at once. Glance gives 25 where nobody says, and at most 1000 by default.
const pageSize = "500"

// ToImageListQuery is the list's filter.
func (f imageFilter) ToImageListQuery() (string, error) {
	query := url.Values{"limit": {pageSize}}
	for name, value := range f {
		query.Set(name, value)
	}
	return "?" + query.Encode(), nil
}

func (c *Cloud) listImages(ctx context.Context, op string, filter imageFilter) ([]Image, error) {
	return c.listUpTo(ctx, math.MaxInt, op, filter)
}

// ErrTooMany is the error about a list that is too long to be looked through.
var ErrTooMany = errors.New("the project has too many images")

// listUpTo fails where there are more than so many. A list that has such a bound is without tags: they are most of what is in it.
func (c *Cloud) listUpTo(ctx context.Context, most int, op string, filter imageFilter) ([]Image, error) {
	leave, err := c.listTurn(ctx, op)
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.listInTurn(ctx, most, op, filter)
}

func tooMany(most int) error { return fmt.Errorf("%w: more than %d", ErrTooMany, most) }

// listTurn waits for a turn to read lists, and to keep them until it ends: who waits for one has no list yet.
func (c *Cloud) listTurn(ctx context.Context, op string) (leave func(), err error) {
	if leave, err = c.lists.enter(ctx, c.project()); err != nil {
		return nil, explain(op, err)
	}
	return leave, nil
}

// listInTurn is listUpTo for a caller that has a turn.
func (c *Cloud) listInTurn(ctx context.Context, most int, op string, filter imageFilter) ([]Image, error) {
	client, err := c.glance()
	if err != nil {
		return nil, err
	}
	var all []Image
	err = images.List(client, filter).EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		found, err := images.ExtractImages(page)
		for _, image := range found {
			one := imageFrom(image)
			if most < math.MaxInt {
				one.tags = ""
			}
			all = append(all, one)
		}
		if err == nil && len(all) > most {
			err = tooMany(most)
		}
		return true, err
	})
	if err != nil {
		return nil, explain(op, err)
	}
	return all, nil
}
