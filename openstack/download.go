package openstack

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// OpenImage returns an image's bytes, to be read to their end and closed. Bytes that are not those that Glance was
// given make the reading fail at its end. A download that breaks is continued where it was, up to retries times.
func (c *Cloud) OpenImage(ctx context.Context, id string, retries int) (io.ReadCloser, error) {
	client, err := c.glance()
	if err != nil {
		return nil, err
	}
	op := fmt.Sprintf("download image %q", id)
	found, err := images.Get(ctx, client, id).Extract()
	if err != nil {
		return nil, explain(op, err)
	}
	body, err := openData(ctx, client, id, 0)
	if err != nil {
		return nil, explain(op, err)
	}
	algorithm, _ := found.Properties["os_hash_algo"].(string)
	want, _ := found.Properties["os_hash_value"].(string)
	if algorithm != "sha512" {
		want = ""
	}
	return &download{
		op: op, sum: sha512.New(), want: want, size: found.SizeBytes, retries: retries, body: body, ctx: ctx,
		open: func(from int64) (io.ReadCloser, error) { return openData(ctx, client, id, from) },
	}, nil
}

// openData asks for an image's bytes from one of them on. A Glance whose store has no parts sends all of them.
func openData(ctx context.Context, client *gophercloud.ServiceClient, id string, from int64) (io.ReadCloser, error) {
	options := &gophercloud.RequestOpts{KeepResponseBody: true, OkCodes: []int{http.StatusOK, http.StatusNoContent, http.StatusPartialContent}}
	if from > 0 {
		options.MoreHeaders = map[string]string{"Range": fmt.Sprintf("bytes=%d-", from)}
	}
	answer, err := client.Get(ctx, client.ServiceURL("images", id, "file"), nil, options)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusPartialContent {
		if part := answer.Header.Get("Content-Range"); !strings.HasPrefix(part, fmt.Sprintf("bytes %d-", from)) {
			return nil, errors.Join(fmt.Errorf("asked for the rest, Glance sends another part, %q", part), answer.Body.Close())
		}
		return answer.Body, nil
	}
	if _, err := io.CopyN(io.Discard, answer.Body, from); err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return answer.Body, nil
}

// download verifies what it reads.
type download struct {
	ctx     context.Context
	op      string
	sum     hash.Hash
	want    string // empty where Glance has none of this kind
	size    int64
	n       int64
	retries int   // most continuations
	broken  error // why the body ended early
	open    func(from int64) (io.ReadCloser, error)

	mu     sync.Mutex // guards all below: who reads may be another than who closes
	body   io.ReadCloser
	closed bool
}

// Close ends the reading, also one that is under way.
func (d *download) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.body.Close()
}

func (d *download) current() (io.Reader, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.body, d.closed
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	if d.broken != nil {
		if err := d.resume(); err != nil {
			return 0, explain(d.op, err)
		}
	}
	body, closed := d.current()
	n, err := body.Read(p)
	d.sum.Write(p[:n])
	d.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		if failed := d.verify(); failed != nil {
			return n, &Error{Op: d.op, Err: failed}
		}
	case err != nil && d.retries > 0 && d.n < d.size && !closed && d.ctx.Err() == nil:
		d.broken = err
		return n, nil
	case err != nil:
		return n, &Error{Op: d.op, Err: err}
	}
	return n, err
}

// resume opens what is left.
func (d *download) resume() error {
	for attempt := 0; d.retries > 0; attempt++ {
		d.retries--
		if err := pauseBefore(d.ctx, attempt); err != nil {
			return err
		}
		body, err := d.open(d.n)
		if err == nil {
			return d.replace(body)
		}
		if d.broken = err; !isAway(err) {
			break
		}
	}
	return d.broken
}

// pauseBefore waits before another attempt, but not before the first: one broken connection is no sign of trouble.
func pauseBefore(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second << min(attempt, 5)):
		return nil
	}
}

// replace has the rest read from another body, unless nobody reads any more.
func (d *download) replace(body io.ReadCloser) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.Join(http.ErrBodyReadAfterClose, body.Close())
	}
	d.body.Close()
	d.body, d.broken = body, nil
	return nil
}

func (d *download) verify() error {
	switch {
	case d.n != d.size:
		return fmt.Errorf("%w: %d bytes came of %d", errDamaged, d.n, d.size)
	case d.want != "" && d.want != hex.EncodeToString(d.sum.Sum(nil)):
		return fmt.Errorf("%w, or where it is stored: its sha512 is not what Glance says", errDamaged)
	}
	return nil
}
