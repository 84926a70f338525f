package storage

import (
	"context"
	"fmt"
	"net/http"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// openUpload is an upload that is not complete.
type openUpload struct {
	bytes  int64 // that came with requests which have ended
	active int   // requests under way
	closed bool  // it was removed, and counts until these have ended: they have its file open
}

// A claim is what the body of one request takes of a namespace, until that is part of a blob or of an open upload.
type claim struct {
	repository string
	upload     string // id; empty for a manifest
	usage      *usage // nil until some of the body was read
	open       *openUpload
	bytes      int64
}

// claimed returns the claim's part of the total: its own bytes, and those that came for its upload before.
func (u *usage) claimed(c *claim) int64 {
	if c == nil || c.usage != u {
		return 0
	}
	if c.open != nil {
		return c.bytes + c.open.bytes
	}
	return c.bytes
}

// begin starts a body of that many bytes, -1 if unknown, after so many that came with earlier requests.
func (q *quota) begin(ctx context.Context, c *claim, before, size int64) *Refusal {
	u, err := q.counted(ctx, namespace(c.repository))
	if err != nil {
		return countError(namespace(c.repository), err)
	}
	defer u.Unlock()
	c.usage = u
	if c.upload != "" {
		upload := u.open[c.upload]
		if upload == nil { // of an earlier process
			upload = &openUpload{bytes: before}
			u.open[c.upload] = upload
		}
		upload.active++
		c.open = upload
	}
	return q.refused(u, c, max(size, 0))
}

// take counts bytes that came.
func (q *quota) take(c *claim, n int64) *Refusal {
	c.usage.Lock()
	defer c.usage.Unlock()
	if why := q.refused(c.usage, c, n); why != nil {
		return why
	}
	c.usage.pending += n
	c.bytes += n
	return nil
}

// end ends a request. What came of an upload that is neither complete nor cancelled still counts.
func (q *quota) end(c *claim) {
	if c.usage == nil {
		return
	}
	c.usage.Lock()
	defer c.usage.Unlock()
	c.usage.pending -= c.bytes
	if c.open == nil {
		return
	}
	c.open.bytes += c.bytes
	if c.open.active--; c.open.active == 0 && c.open.closed {
		delete(c.usage.open, c.upload)
	}
}

// refused returns why a namespace may not take that many bytes more; nil if it may.
func (q *quota) refused(u *usage, c *claim, more int64) *Refusal {
	if q.limit == 0 || u.total()+more <= q.limit {
		return nil
	}
	return q.exceededError(namespace(c.repository), u.total()-u.claimed(c))
}

// openUpload makes an upload, if the namespace may have one more.
func (q *quota) openUpload(ctx context.Context, repository, id string, put func() error) error {
	name := namespace(repository)
	u, err := q.counted(ctx, name)
	if err != nil {
		return err
	}
	defer u.Unlock()
	switch {
	case u.open[id] != nil:
		return put()
	case len(u.open) >= q.uploads:
		return tooManyUploads(name, len(u.open))
	}
	if err := put(); err != nil {
		return err
	}
	u.open[id] = &openUpload{}
	return nil
}

// closeUpload records that an upload was removed, complete or not. Its file takes its space until the last request to
// it ends.
func (q *quota) closeUpload(repository, id string) {
	u := q.usageOf(namespace(repository))
	u.Lock()
	defer u.Unlock()
	if upload := u.open[id]; upload != nil && upload.active > 0 {
		upload.closed = true
		return
	}
	delete(u.open, id)
}

func tooManyUploads(name string, open int) *Refusal {
	return &Refusal{
		Status: http.StatusTooManyRequests, Code: errcode.ErrorCodeTooManyRequests, RetryAfter: UploadRetry,
		Message: fmt.Sprintf("%s has %d uploads open, and may have no more: complete or cancel some; those that were broken off are removed after a day", name, open),
	}
}
