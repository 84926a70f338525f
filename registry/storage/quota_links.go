package storage

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"ndock/registry/gc"
)

// link makes a link to a blob, if the blob counts already or there is room for it. From then on the blob counts, and
// the claim of the request no more.
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
	if others := u.total() - u.claimed(c); others+size > q.limit {
		return errors.Join(q.exceededError(name, others), q.countRefused(ctx, u, c, name, blob, size))
	}
	if err := put(); err != nil {
		u.counted = time.Time{} // whether it was made, the storage knows
		return err
	}
	u.add(blob, size)
	u.transfer(c)
	return nil
}

func (u *usage) add(blob digest.Digest, size int64) { u.blobs[blob], u.used = size, u.used+size }

// transfer clears a claim whose bytes count elsewhere now.
func (u *usage) transfer(c *claim) {
	if c == nil || c.usage != u {
		return
	}
	u.pending -= c.bytes
	c.bytes = 0
	if c.open != nil {
		c.open.bytes = 0
	}
}

// countRefused counts a blob that came with this request and was refused: it is in the storage all the same. A blob
// that was to be mounted came with another request.
func (q *quota) countRefused(ctx context.Context, u *usage, c *claim, name string, blob digest.Digest, size int64) error {
	if c == nil || c.usage != u || u.claimed(c) == 0 {
		return nil
	}
	u.add(blob, size)
	u.transfer(c)
	return q.record(ctx, name, blob)
}

// unlink removes a link. The blob counts until it is gone from the storage.
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

// record has a blob count for a namespace without a link to it, until garbage collection finds it gone.
func (q *quota) record(ctx context.Context, name string, blob digest.Digest) error {
	return q.storage.PutContent(ctx, gc.UnlinkedFile(name, blob), []byte(blob))
}
