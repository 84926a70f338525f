package openstack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ManifestImage is an image that was made of a manifest, as a registry names it.
type ManifestImage struct {
	Image
	Repository string // without the project
	Tag        string // "" for one that is known by its digest only
}

// latest is the tag that a name in Glance leaves out.
const latest = "latest"

var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagName        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	manifestDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// nameWithTag is the name of an image that has a tag.
func nameWithTag(repository, tag string) string {
	if tag == latest {
		return repository
	}
	return repository + "@" + tag
}

// nameWithDigest is the name of an image that has no tag, or has it no more. It is hidden.
func nameWithDigest(repository, digest string) string {
	return repository + "@" + strings.ReplaceAll(digest, ":", "-")
}

// isComplete is false of an image whose push may be under way, and may fail yet: it is hidden, and nobody has said anything else.
func (i Image) isComplete() bool {
	return i.ManifestType != "" || i.Layered && (!i.Hidden || i.untagged)
}

// asManifest reads the name of an image. It returns false for one that no registry shows: a layer, a whole archive, of which
// no manifest is known, one whose push is under way, or a name that no repository has.
//
// A tag may look like a digest: clients tag what they say about a manifest so. It is that of the image itself only if the
// image has that digest.
func (i Image) asManifest() (ManifestImage, bool) {
	if i.isLayer() || !i.isComplete() || !manifestDigest.MatchString(i.Digest) {
		return ManifestImage{}, false
	}
	repository, tag, tagged := strings.Cut(i.Name, "@")
	found := ManifestImage{Image: i, Repository: repository, Tag: tag}
	switch {
	case !tagged:
		found.Tag = latest
	case tag == latest: // has no @
		return ManifestImage{}, false
	case i.Name == nameWithDigest(repository, i.Digest):
		found.Tag = ""
		return found, repositoryName.MatchString(repository)
	}
	return found, repositoryName.MatchString(repository) && tagName.MatchString(found.Tag)
}

// tagTime says which of several images of one name has it: the newest. Glance's times are in seconds, and its hosts' clocks
// differ, so a registry's pushes say it themselves.
//
// A time that is far ahead is nobody's: a tag would be held for ever by who wrote it.
func (i Image) tagTime() time.Time {
	if i.taggedAt.IsZero() || i.taggedAt.After(time.Now().Add(maxSkew)) {
		return i.Created
	}
	return i.taggedAt
}

// maxSkew is how far the clock of another registry may be before this one's.
const maxSkew = 24 * time.Hour

// newestFirst is the same order for everyone. A snapshot of a server comes last, whatever its age: whoever takes one may call it as
// he likes, and nobody meant to push it.
func newestFirst(a, b ManifestImage) int {
	return cmp.Or(last(a.Snapshot)-last(b.Snapshot), b.tagTime().Compare(a.tagTime()), strings.Compare(b.ID, a.ID))
}

func last(is bool) int {
	if is {
		return 1
	}
	return 0
}

// mostListed is how many images of a project a registry looks at.
const mostListed = 10_000

// ownActive lists the project's images that a filter lets through, hidden ones first: one that is shown meanwhile is in the
// second list.
func (c *Cloud) ownActive(ctx context.Context, op string, filter imageFilter) (map[string]Image, error) {
	return c.ownActiveOf(ctx, op, filter.with("os_hidden", "true"), filter.with("os_hidden", "false"))
}

// ownActiveOf lists the project's images that at least one of the filters lets through, in their order.
func (c *Cloud) ownActiveOf(ctx context.Context, op string, filters ...imageFilter) (map[string]Image, error) {
	project, err := c.ownProject(op)
	if err != nil {
		return nil, err
	}
	leave, err := c.listTurn(ctx, op)
	if err != nil {
		return nil, err
	}
	defer leave()
	found := map[string]Image{}
	for _, filter := range filters {
		asked := imageFilter{"owner": project, "container_format": "docker", "status": "active"}
		maps.Copy(asked, filter)
		all, err := c.listSteadily(ctx, mostListed, op, asked)
		if err != nil {
			return nil, err
		}
		for _, image := range all {
			if image.Owner == project && image.Status == "active" && image.format == "docker" {
				found[image.ID] = image
			}
		}
		if len(found) > mostListed {
			return nil, &Error{Op: op, Err: tooMany(mostListed)}
		}
	}
	return found, nil
}

// manifests returns those that a registry shows, the newest first.
func manifests(all map[string]Image) []ManifestImage {
	var found []ManifestImage
	for _, image := range all {
		if manifest, ok := image.asManifest(); ok {
			found = append(found, manifest)
		}
	}
	slices.SortFunc(found, newestFirst)
	return found
}

// ManifestImages returns the images of the project that were made of manifests, hidden ones too, the newest first.
func (c *Cloud) ManifestImages(ctx context.Context) ([]ManifestImage, error) {
	all, err := c.ownActiveOf(ctx, "list the project's images", manifestFilters()...)
	return manifests(all), err
}

// manifestTypes are the types of the manifests that a registry takes.
var manifestTypes = []string{
	"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
}

// manifestFilters let through all images that can be complete, and no layers: a project has ten times as many of those. Each of
// the hidden images has one of these properties.
func manifestFilters() []imageFilter {
	shown := imageFilter{"sort": "created_at:asc", "os_hidden": "false"}
	hidden := shown.with("os_hidden", "true")
	filters := []imageFilter{hidden.with(propertyTrait, traitRequired)}
	for _, kind := range manifestTypes {
		filters = append(filters, hidden.with(propertyManifestType, kind))
	}
	return append(filters, shown)
}

// Tagged returns the images that have a tag, the newest first. There is one, but while another is pushed.
func (c *Cloud) Tagged(ctx context.Context, repository, tag string) ([]ManifestImage, error) {
	found, err := c.holders(ctx, repository, tag)
	return found.manifests, err
}

// holders are the images that have the name of a tag.
type holders struct {
	manifests []ManifestImage // the newest first
	others    []Image         // those that are shown and that no registry knows
}

func (c *Cloud) holders(ctx context.Context, repository, tag string) (holders, error) {
	name := nameWithTag(repository, tag)
	all, err := c.ownActive(ctx, fmt.Sprintf("look for image %q", name), imageFilter{"name": "in:" + quoteIn(name)})
	var found holders
	for _, image := range all {
		manifest, ok := image.asManifest()
		switch {
		case image.Name != name || image.isLayer() || image.Snapshot && !ok:
		case ok && manifest.Repository == repository && manifest.Tag == tag:
			found.manifests = append(found.manifests, manifest)
		case !ok && !image.Hidden:
			found.others = append(found.others, image)
		}
	}
	slices.SortFunc(found.manifests, newestFirst)
	return found, err
}

// with returns the image of a registry that has this id.
func (h holders) with(id string) (ManifestImage, bool) {
	at := slices.IndexFunc(h.manifests, func(image ManifestImage) bool { return image.ID == id })
	if at < 0 {
		return ManifestImage{}, false
	}
	return h.manifests[at], true
}

// olderThan returns the images that have lost the name to another. Snapshots keep theirs: they cannot be pushed again.
func (h holders) olderThan(newest ManifestImage) []Image {
	if newest.Snapshot { // nobody has pushed one
		return nil
	}
	var older []Image
	for _, image := range h.manifests {
		if !image.Snapshot && newestFirst(image, newest) > 0 {
			older = append(older, image.Image)
		}
	}
	for _, image := range h.others {
		if image.Created.Before(newest.tagTime()) {
			older = append(older, image)
		}
	}
	return older
}

// Referrers returns the images of a repository whose manifests are about the one with a digest, the newest first.
func (c *Cloud) Referrers(ctx context.Context, repository, subject string) ([]ManifestImage, error) {
	all, err := c.ownActive(ctx, fmt.Sprintf("look for what is about image %q", nameWithDigest(repository, subject)), imageFilter{propertySubject: subject})
	return slices.DeleteFunc(manifests(all), func(image ManifestImage) bool {
		return image.Repository != repository || image.Subject != subject
	}), err
}

// WithDigest returns the images of a repository whose manifest has a digest: those with a tag come first, then the newest.
func (c *Cloud) WithDigest(ctx context.Context, repository, digest string) ([]ManifestImage, error) {
	all, err := c.ownActive(ctx, fmt.Sprintf("look for image %q", nameWithDigest(repository, digest)), imageFilter{propertyDigest: digest})
	var tagged, untagged []ManifestImage
	for _, image := range manifests(all) {
		switch {
		case image.Repository != repository || image.Digest != digest:
		case image.Tag != "":
			tagged = append(tagged, image)
		default:
			untagged = append(untagged, image)
		}
	}
	return append(tagged, untagged...), err
}
