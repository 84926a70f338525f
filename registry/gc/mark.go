package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

const (
	maxRequests     = 8       // requests to the storage
	largestManifest = 8 << 20 // distribution takes none beyond 4 MiB
)

// read reads all manifests, and the tags where they matter. A manifest that cannot be read ends the collection, because
// what it refers to would be lost.
func (c *collection) read(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxRequests)
	c.references, c.subjects = map[string][]string{}, map[string]string{}
	linked := c.linked()
	var lock sync.Mutex // of both, once the reading has begun
	for found, repository := range c.whereManifestsAre() {
		group.Go(func() error {
			content, err := c.readManifest(ctx, repository, found)
			if content == nil || err != nil {
				return err
			}
			all, subject, err := named(digest.Digest(found), content)
			if err != nil {
				return c.damaged(repository, found, err)
			}
			var known []string
			for _, one := range all {
				if link, is := linked[one]; is {
					known = append(known, link)
				}
			}
			lock.Lock()
			defer lock.Unlock()
			c.references[found] = known
			if subject != "" {
				c.subjects[found] = subject
			}
			return nil
		})
	}
	for name, r := range c.repositories {
		if c.Untagged || c.Cache {
			group.Go(func() error { return c.readTags(ctx, name, r) })
		}
	}
	return group.Wait()
}

// linked returns the digests to which a repository has a link, by themselves. What a manifest says of others decides nothing, and
// may be much.
func (c *collection) linked() map[string]string {
	all := map[string]string{}
	for _, r := range c.repositories {
		for _, links := range []map[string]link{r.manifests, r.layers} {
			for one := range links {
				all[one] = one
			}
		}
	}
	return all
}

// whereManifestsAre returns a repository of each manifest, for errors to name.
func (c *collection) whereManifestsAre() map[string]string {
	all := map[string]string{}
	for name, r := range c.repositories {
		for found := range r.manifests {
			all[found] = name
		}
	}
	return all
}

// readManifest returns a manifest; nil if its blob is gone, so that it refers to nothing any more.
func (c *collection) readManifest(ctx context.Context, repository, found string) ([]byte, error) {
	content, err := c.readStart(ctx, BlobFile(digest.Digest(found)), largestManifest+1)
	if missing(err) {
		c.Report.Step("repository %s has lost manifest %s", repository, found)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest %s@%s: %w", repository, found, err)
	}
	return content, nil
}

// errWrongDigest is the error of a manifest with another digest: it may refer to other blobs than the original.
var errWrongDigest = errors.New("what is stored of it has another digest")

// named returns the digests that a manifest refers to, and that of its subject among them.
func named(manifest digest.Digest, content []byte) (all []string, subject string, err error) {
	if len(content) > largestManifest || manifest.Algorithm().FromBytes(content) != manifest {
		return nil, "", errWrongDigest
	}
	return digests(content)
}

// damaged returns the error that ends a collection; nil for a cache, which gets the manifest again.
func (c *collection) damaged(repository, found string, cause error) error {
	if c.Cache {
		c.Report.Step("manifest %s@%s is damaged", repository, found)
		return nil
	}
	return &Error{
		Err:  fmt.Errorf("read manifest %s@%s: %w", repository, found, cause),
		hint: fmt.Sprintf("push that image to %s again, or 'ndock registry delete %s@%s' takes it away", repository, repository, found),
	}
}

// BlobFile returns the path of a blob.
func BlobFile(d digest.Digest) string {
	return path.Join(RootBlobs, string(d.Algorithm()), d.Encoded()[:2], d.Encoded(), "data")
}

// readTags finds the manifests that have a tag. For a damaged tag, it takes all that ever had it.
func (c *collection) readTags(ctx context.Context, name string, r *repository) error {
	for _, one := range r.tags {
		found, err := c.readLink(ctx, one.file)
		dir := path.Dir(path.Dir(one.file))
		switch damaged := errors.Is(err, errDamaged); {
		case missing(err):
		case c.Cache && (damaged || err == nil && !one.recent):
			if !r.manifests[found].recent {
				r.expired = append(r.expired, dir)
			}
		case damaged:
			tag := name + ":" + path.Base(dir)
			c.Report.Step("tag %s is damaged, and all images that ever had it stay: push the image again, or 'ndock registry delete %s'", tag, tag)
			r.tagged = append(r.tagged, r.everTagged(dir)...)
		case err != nil:
			return err
		default:
			r.tagged = append(r.tagged, found)
		}
	}
	return nil
}

// everTagged returns the manifests that have, or had, the tag in that directory.
func (r *repository) everTagged(dir string) (all []string) {
	for found, links := range r.history {
		if slices.ContainsFunc(links, func(link string) bool { return strings.HasPrefix(link, dir+"/") }) {
			all = append(all, found)
		}
	}
	return all
}

// references are the descriptors in a manifest of any kind that registries take, or took: an image, an index, an
// artifact, and Docker's first schema. Nothing else in a manifest refers to a blob.
type references struct {
	Config, Subject          json.RawMessage
	Layers, Manifests, Blobs json.RawMessage
	FSLayers                 json.RawMessage
}

// digests returns the digests of all descriptors in a manifest, and that of its subject among them. It ignores what is
// no descriptor.
func digests(document []byte) (all []string, subject string, err error) {
	if !json.Valid(document) {
		return nil, "", errors.New("it is not JSON")
	}
	var named references
	if err := json.Unmarshal(document, &named); err != nil {
		return nil, "", fmt.Errorf("it is no manifest: %w", err)
	}
	found := map[string]bool{}
	add := func(parts ...json.RawMessage) {
		for _, part := range parts {
			for _, text := range digestsOf(part) {
				found[text] = true
			}
		}
	}
	add(named.Config, named.Subject)
	for _, text := range digestsOf(named.Subject) {
		subject = text
	}
	for _, list := range []json.RawMessage{named.Layers, named.Manifests, named.Blobs, named.FSLayers} {
		var parts []json.RawMessage
		json.Unmarshal(list, &parts)
		add(parts...)
	}
	return slices.Collect(maps.Keys(found)), subject, nil
}

// digestsOf returns the digests in a descriptor; none if it is invalid.
func digestsOf(part json.RawMessage) (all []string) {
	var descriptor struct {
		Digest  string
		BlobSum string
	}
	json.Unmarshal(part, &descriptor)
	for _, text := range []string{descriptor.Digest, descriptor.BlobSum} {
		if digest.Digest(text).Validate() == nil {
			all = append(all, text)
		}
	}
	return all
}

// mark decides what stays, and lists the rest as garbage.
func (c *collection) mark() {
	c.keep = map[string]bool{}
	for name, r := range c.repositories {
		reached := c.reach(r)
		for _, dir := range r.expired {
			c.garbage = append(c.garbage, item{kind: tag, dir: dir})
		}
		c.sort(name, r.manifests, manifest, reached, r.history)
		c.sort(name, r.layers, layer, reached, nil)
		for _, found := range r.uploads {
			if !found.recent {
				c.garbage = append(c.garbage, *found)
			}
		}
		if !c.Cache && r.empty(reached) {
			c.garbage = append(c.garbage, item{kind: emptied, dir: path.Join(RootRepositories, name, "_manifests")})
		}
	}
}

// empty returns whether nothing stays in a repository. The catalog lists it while it has a directory for manifests.
func (r *repository) empty(reached map[string]bool) bool {
	for _, links := range []map[string]link{r.manifests, r.layers} {
		for found, one := range links {
			if reached[found] || one.recent {
				return false
			}
		}
	}
	for _, found := range r.uploads {
		if found.recent {
			return false
		}
	}
	return len(r.tags) == 0
}

// reach returns what the repository needs: what its manifests refer to, with Untagged only those that have a tag or are
// recent. A manifest about another one, such as a signature, is needed with that.
func (c *collection) reach(r *repository) map[string]bool {
	about := map[string][]string{}
	for found := range r.manifests {
		if subject := c.subjects[found]; subject != "" {
			about[subject] = append(about[subject], found)
		}
	}
	next := slices.Clone(r.tagged)
	for found, link := range r.manifests {
		if !c.Untagged && !c.Cache || link.recent {
			next = append(next, found)
		}
	}
	reached := map[string]bool{}
	for len(next) > 0 {
		last := len(next) - 1
		found := next[last]
		next = next[:last]
		if reached[found] {
			continue
		}
		reached[found] = true
		if _, here := r.manifests[found]; here {
			next = append(append(next, c.references[found]...), about[found]...)
		}
	}
	return reached
}

// sort keeps the blobs of the links that are reached or recent, and lists the other links as garbage, with the history
// of their tags.
func (c *collection) sort(name string, links map[string]link, k kind, reached map[string]bool, memory map[string][]string) {
	for found, link := range links {
		if reached[found] || link.recent {
			c.keep[found] = true
			if link.target != "" {
				c.keep[link.target] = true
			}
			continue
		}
		for _, dir := range memory[found] {
			c.garbage = append(c.garbage, item{kind: history, dir: dir})
		}
		c.garbage = append(c.garbage, item{kind: k, dir: linkDir(name, k, digest.Digest(found))})
	}
}

func linkDir(name string, k kind, d digest.Digest) string {
	within := "_layers"
	if k == manifest {
		within = "_manifests/revisions"
	}
	return path.Join(RootRepositories, name, within, string(d.Algorithm()), d.Encoded())
}
