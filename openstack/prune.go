package openstack

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
)

// PruneOptions say which images nobody needs any more. Each narrows the choice.
type PruneOptions struct {
	OlderThan time.Duration // 0 for any age
	Names     []string      // patterns with * and ?; none for any name
	Keep      int           // the newest of each repository, which is the name without its tag
	Now       time.Time
}

// unfinished is the age from which an image that has no bytes yet, or is hidden, is none that is being pushed.
const unfinished = 24 * time.Hour

// Prunable lists the project's Docker images that the options mean. One that is protected, or that a server uses, is
// never among them.
func (c *Cloud) Prunable(ctx context.Context, o PruneOptions) ([]Image, error) {
	hidden, shown, err := c.hiddenAndShown(ctx)
	if err != nil {
		return nil, err
	}
	all := append(shown, hiddenPrunable(hidden, shown)...)
	used, err := c.ServersByImage(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(o.choose(all), func(image Image) bool { return len(used[image.ID]) > 0 }), nil
}

// hiddenAndShown lists the project's images, the newest first. Hidden ones are listed before the others and after them: one that is
// shown meanwhile, or hidden, is in one of the lists, and counts as the last that has it says.
func (c *Cloud) hiddenAndShown(ctx context.Context) (hidden, shown []Image, err error) {
	found := map[string]Image{}
	for _, which := range []string{"true", "false", "true"} {
		filter := imageFilter{"container_format": "docker", "sort": "created_at:desc", "os_hidden": which}
		if project := c.project(); project != "" {
			filter["owner"] = project
		}
		all, err := c.listImages(ctx, "list images", filter)
		if err != nil {
			return nil, nil, err
		}
		for _, image := range all {
			found[image.ID] = image
		}
	}
	for _, image := range slices.SortedFunc(maps.Values(found), newestImageFirst) {
		if image.Hidden {
			hidden = append(hidden, image)
		} else {
			shown = append(shown, image)
		}
	}
	return hidden, shown, nil
}

func newestImageFirst(a, b Image) int {
	return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
}

// hiddenPrunable returns hidden images whose name another has got, or that never had one, and those that were never sent
// completely. Others that are hidden are layers, pushes under way, or hidden by a user.
//
// What servers do not boot, such as a signature, may be needed by an image that it is about, or by an index. So where it says
// what it is about, it goes only if no image has that digest, and no index of its repository can have it. What says nothing of
// that, such as an attestation, is in the index's own bytes, too.
func hiddenPrunable(hidden, shown []Image) []Image {
	digests, indexed := map[string]bool{}, map[string]bool{}
	for _, image := range slices.Concat(hidden, shown) {
		digests[image.Digest] = true
		indexed[repositoryOf(image.Name)] = indexed[repositoryOf(image.Name)] || image.isIndex() && !supersededName.MatchString(image.Name)
	}
	var found []Image
	for _, image := range hidden {
		layer := image.layerDigest != "" || image.isLayer()
		needed := image.isArtifact() && image.Subject != "" && (digests[image.Subject] || indexed[repositoryOf(image.Name)])
		if !layer && !image.Snapshot && (!image.hasBytes() || image.isSuperseded() && !needed) {
			found = append(found, image)
		}
	}
	return found
}

// supersededName is that of an image whose name another has got.
var supersededName = regexp.MustCompile(`.@sha256-[0-9a-f]{64}$`)

// isSuperseded also knows a tag that looks like a digest: it is not the image's own.
func (i Image) isSuperseded() bool {
	return supersededName.MatchString(i.Name) && (i.Digest == "" || strings.HasSuffix(i.Name, nameWithDigest("", i.Digest)))
}

// isArtifact is true of an image that a registry has made, and that servers do not boot.
func (i Image) isArtifact() bool { return i.ManifestType != "" && i.HypervisorType == "" }

// isIndex is true of an image that a registry has made of several manifests.
func (i Image) isIndex() bool {
	return strings.HasSuffix(i.ManifestType, ".index.v1+json") || strings.HasSuffix(i.ManifestType, ".list.v2+json")
}

// DeleteImages deletes as many of the images as it can, and returns those that it has deleted. The error joins what failed;
// an interruption ends the work.
func (c *Cloud) DeleteImages(ctx context.Context, images []Image) (deleted []Image, err error) {
	var failed []error
	for _, image := range images {
		err := c.DeleteImage(ctx, image.ID)
		switch {
		case err == nil:
			deleted = append(deleted, image)
		case ctx.Err() != nil:
			return deleted, errors.Join(append(failed, err)...)
		default:
			failed = append(failed, err)
		}
	}
	return deleted, errors.Join(failed...)
}

// choose takes images newest first. What is kept counts whether or not a server uses it.
func (o PruneOptions) choose(all []Image) []Image {
	kept := map[string]int{}
	var chosen []Image
	for _, image := range all {
		if !o.named(image.Name) {
			continue
		}
		active := image.Status == "active"
		if repository := repositoryOf(image.Name); active && !image.Hidden && kept[repository] < o.Keep {
			kept[repository]++
			continue
		}
		least, since := o.OlderThan, image.Created
		if !active || image.Hidden { // its push may be under way, or it has just lost its name
			least, since = max(least, unfinished), later(image.Created, image.Updated)
		}
		if !image.Protected && o.Now.Sub(since) >= least {
			chosen = append(chosen, image)
		}
	}
	return chosen
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (o PruneOptions) named(name string) bool {
	return len(o.Names) == 0 || slices.ContainsFunc(o.Names, func(pattern string) bool {
		return slices.ContainsFunc(namesOf(name), func(name string) bool { return matchesName(pattern, name) })
	})
}

// namesOf are an image's names in Glance and in Docker.
func namesOf(name string) []string {
	inDocker := DockerName(name)
	if repositoryOf(name) == name {
		return []string{name, inDocker, inDocker + ":latest"}
	}
	return []string{name, inDocker}
}

// matchesName is path.Match for Docker's names, in which a slash is nothing special.
func matchesName(pattern, name string) bool {
	matches, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return err == nil && matches
}

// Check tells what is wrong with the options as such.
func (o PruneOptions) Check() error {
	for _, pattern := range o.Names {
		if _, err := path.Match(pattern, ""); err != nil {
			return err
		}
	}
	return nil
}

// digest is what stands behind a repository in place of a tag, or behind a tag.
var digest = regexp.MustCompile(`@sha[0-9]+[-@:][0-9a-f]+$`)

// repositoryOf is a name without its tag and its digest.
func repositoryOf(name string) string {
	name = digest.ReplaceAllString(name, "")
	if at := strings.LastIndexAny(name, ":@"); at > strings.LastIndex(name, "/") {
		return name[:at]
	}
	return name
}

// ServersByImage lists the servers that were made of images, by the image's id: those of all projects if one may see
// them, and else the project's.
func (c *Cloud) ServersByImage(ctx context.Context) (map[string][]Server, error) {
	all, err := c.listServers(ctx, servers.ListOpts{AllTenants: true})
	if Refused(err) {
		all, err = c.Servers(ctx)
	}
	if err != nil {
		return nil, err
	}
	byImage := map[string][]Server{}
	for _, server := range all {
		byImage[server.ImageID] = append(byImage[server.ImageID], server)
	}
	for _, of := range byImage {
		slices.SortFunc(of, func(a, b Server) int { return cmp.Compare(a.Name, b.Name) })
	}
	return byImage, nil
}
