package gc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
)

// repository is what is known of a repository. It keeps no paths, because there may be very many.
type repository struct {
	layers, manifests map[string]link // by digest
	tags              []tagLink
	tagged            []string // digests
	expired           []string // directories of tags that a cache has no use for any more
	history           map[string][]string
	uploads           map[string]*item // by directory
}

// tagLink is the file that names the manifest of a tag.
type tagLink struct {
	file   string
	recent bool
}

// link is a reference of a repository to a blob.
type link struct {
	recent bool
	target string // the blob's digest, where a client calls it by another
}

// item is something to remove.
type item struct {
	kind   kind
	dir    string
	bytes  int64
	recent bool
}

// list finds all references of the repositories, and directories that are left over: whoever may push makes as many as he likes.
func (c *collection) list(ctx context.Context) error {
	walked := walkedFrom(RootRepositories)
	err := WalkAll(ctx, c.storage, RootRepositories, func(file driver.FileInfo) error {
		if file.IsDir() {
			walked.directory(file.Path(), c.isRecent(file.ModTime()))
			return nil
		}
		walked.file(file.Path())
		return c.add(ctx, file, locate(file.Path()))
	})
	if !c.Cache { // into which others write meanwhile
		for _, dir := range walked.end() {
			c.garbage = append(c.garbage, item{kind: bare, dir: dir})
		}
	}
	if err == nil {
		c.Report.Step("%s", c.summary())
	}
	return err
}

func (c *collection) add(ctx context.Context, file driver.FileInfo, at location) (err error) {
	young := c.isRecent(file.ModTime())
	switch r := c.repository(at.repository); at.kind {
	case layer:
		r.layers[at.digest], err = c.link(ctx, file, at)
	case manifest:
		r.manifests[at.digest], err = c.link(ctx, file, at)
	case tag:
		r.tags = append(r.tags, tagLink{file: file.Path(), recent: young})
	case history:
		r.history[at.digest] = append(r.history[at.digest], at.dir)
	case upload:
		r.addUpload(file, at, young)
	case tempFile:
		c.addTempFile(file, at, young)
	}
	return err
}

// link returns a link. It reads the file only where the client has used another digest algorithm than the storage.
func (c *collection) link(ctx context.Context, file driver.FileInfo, at location) (link, error) {
	found := link{recent: c.isRecent(file.ModTime())}
	if strings.HasPrefix(at.digest, string(digest.Canonical)+":") {
		return found, nil
	}
	var err error
	found.target, err = c.readLink(ctx, file.Path())
	if errors.Is(err, errDamaged) && c.Cache {
		return found, nil
	}
	if errors.Is(err, errDamaged) {
		err = &Error{Err: err, hint: fmt.Sprintf("push that image to %s again, or remove %q if nobody needs it", at.repository, file.Path())}
	}
	return found, err
}

// addUpload sums up the files of an upload, which is recent if one of them is.
func (r *repository) addUpload(file driver.FileInfo, at location, young bool) {
	found := r.uploads[at.dir]
	if found == nil {
		found = &item{kind: upload, dir: at.dir}
		r.uploads[at.dir] = found
	}
	found.bytes += file.Size()
	found.recent = found.recent || young
}

func (c *collection) addTempFile(file driver.FileInfo, at location, young bool) {
	if !young {
		c.garbage = append(c.garbage, item{kind: tempFile, dir: at.dir, bytes: file.Size()})
	}
}

// listBlobs finds the blobs that nothing keeps.
func (c *collection) listBlobs(ctx context.Context) error {
	return c.walk(ctx, RootBlobs, func(file driver.FileInfo, at location) error {
		switch young := c.isRecent(file.ModTime()); {
		case at.kind == tempFile:
			c.addTempFile(file, at, young)
		case at.kind != blob || c.keep[at.digest]:
		case young:
			c.recent[at.digest] = true
		default:
			c.garbage = append(c.garbage, item{kind: blob, dir: at.dir, bytes: file.Size()})
		}
		return nil
	})
}

// listUnlinked finds the records of blobs without a link that need not count for a namespace any more: the blob goes
// now, is gone already, or counts by a link.
func (c *collection) listUnlinked(ctx context.Context) error {
	return c.walk(ctx, RootUnlinked, func(_ driver.FileInfo, at location) error {
		if at.kind == unlinked && !c.recent[at.digest] {
			c.garbage = append(c.garbage, item{kind: unlinked, dir: at.dir})
		}
		return nil
	})
}

func (c *collection) walk(ctx context.Context, from string, visit func(driver.FileInfo, location) error) error {
	return Walk(ctx, c.storage, from, func(file driver.FileInfo) error { return visit(file, locate(file.Path())) })
}

func (c *collection) isRecent(changed time.Time) bool { return changed.After(c.before) }

func (c *collection) repository(name string) *repository {
	r := c.repositories[name]
	if r == nil {
		r = &repository{
			layers: map[string]link{}, manifests: map[string]link{},
			history: map[string][]string{}, uploads: map[string]*item{},
		}
		c.repositories[strings.Clone(name)] = r
	}
	return r
}

func (c *collection) summary() string {
	manifests, layers, repositories := 0, 0, 0
	for _, r := range c.repositories {
		manifests, layers = manifests+len(r.manifests), layers+len(r.layers)
		if len(r.manifests)+len(r.layers)+len(r.uploads) > 0 {
			repositories++
		}
	}
	return fmt.Sprintf("%d repositories, with %d manifests and %d layers", repositories, manifests, layers)
}

// errDamaged is the error of a link without a digest in it.
var errDamaged = errors.New("which is no digest")

// readLink returns the digest in a link.
func (c *collection) readLink(ctx context.Context, file string) (string, error) {
	content, err := c.readStart(ctx, file, 1024) // more than any digest has
	if err != nil {
		return "", err
	}
	found, err := digest.Parse(string(content))
	if err != nil {
		return "", fmt.Errorf("read %q: it has %.100q in it, %w", file, content, errDamaged)
	}
	return string(found), nil
}

// readStart reads at most that many bytes of a file.
func (c *collection) readStart(ctx context.Context, file string, most int64) ([]byte, error) {
	reader, err := c.storage.Reader(ctx, file, 0)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return io.ReadAll(io.LimitReader(reader, most))
}
