package storage

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/registry/gc"
)

// link has a link to a blob made, if the blob counts already, or has room. What the claim of the request has is the
// blob's then.
func (q *quota) link(ctx context.Context, c *claim, repository string, blob digest.Digest, put func() error) error {
	if q.limit == 0 {
		return put()
	}
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return err
	}
	defer u.Unlock()
	if _, ok := u.blobs[blob]; ok {
		return put()
	}
	size, err := q.size(ctx, blob)
	if err != nil {
		return err
	}
	if others := u.total() - u.of(c); others+size > q.limit {
		return errors.Join(q.exceeded(name, others), q.keepCounting(ctx, u, c, name, blob, size))
	}
	if err := put(); err != nil {
		u.counted = time.Time{} // whether it was made, the storage knows
		return err
	}
	u.add(blob, size)
	u.hand(c)
	return nil
}

func (u *usage) add(blob digest.Digest, size int64) { u.blobs[blob], u.used = size, u.used+size }

// hand takes from a claim what counts elsewhere now.
func (u *usage) hand(c *claim) {
	if c == nil || c.usage != u {
		return
	}
	u.pending -= c.bytes
	c.bytes = 0
	if c.open != nil {
		c.open.bytes = 0
	}
}

// keepCounting counts a blob that came with this request, and was refused then: it is in the storage all the same. One
// that was to be mounted came by another.
func (q *quota) keepCounting(ctx context.Context, u *usage, c *claim, name string, blob digest.Digest, size int64) error {
	if c == nil || c.usage != u || u.of(c) == 0 {
		return nil
	}
	u.add(blob, size)
	u.hand(c)
	return q.record(ctx, name, blob)
}

// unlink has a link removed. The blob counts until it is gone from the storage.
func (q *quota) unlink(ctx context.Context, file, repository string, named digest.Digest, remove func() error) error {
	if q.limit == 0 {
		return remove()
	}
	blob, err := q.target(ctx, file, named)
	switch {
	case notFound(err):
		return remove()
	case err != nil:
		return err
	}
	if err := q.record(ctx, namespace(repository), blob); err != nil && !outOfSpace(err) { // or else nothing could be removed from a full disk
		return err
	}
	return remove()
}

// record has a blob count for a namespace that has no link to it, until garbage collection finds the blob gone.
func (q *quota) record(ctx context.Context, name string, blob digest.Digest) error {
	return q.storage.PutContent(ctx, gc.UnlinkedFile(name, blob), []byte(blob))
}
