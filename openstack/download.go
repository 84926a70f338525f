package openstack

import (
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"ndock/docker/transfer"
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
	answer, err := getData(ctx, client, id, 0)
	if err != nil {
		return nil, explain(op, err)
	}
	rest := func(ctx context.Context, from int64) (io.ReadCloser, error) {
		return openRest(ctx, client, id, from, found.SizeBytes)
	}
	return newDownload(op, found, transfer.NewBody(ctx, answer.Body, found.SizeBytes, retries, rest)), nil
}

// openRest asks for the bytes from one on, again after each failure but those that would be repeated.
func openRest(ctx context.Context, client *gophercloud.ServiceClient, id string, from, size int64) (io.ReadCloser, error) {
	answer, err := getData(ctx, client, id, from)
	switch {
	case err == nil:
		return transfer.Rest(answer, from, size)
	case !isAway(err):
		return nil, fmt.Errorf("%w: %w", transfer.ErrNoRest, err)
	}
	return nil, err
}

// getData asks for an image's bytes from one of them on. A Glance whose store has no parts sends all of them.
func getData(ctx context.Context, client *gophercloud.ServiceClient, id string, from int64) (*http.Response, error) {
	if from == 0 {
		return getPart(ctx, client, id, "")
	}
	return getPart(ctx, client, id, fmt.Sprintf("bytes=%d-", from))
}

// getPart asks for a range of an image's bytes; "" for all of them.
func getPart(ctx context.Context, client *gophercloud.ServiceClient, id, part string) (*http.Response, error) {
	options := &gophercloud.RequestOpts{KeepResponseBody: true, OkCodes: []int{http.StatusOK, http.StatusNoContent, http.StatusPartialContent}}
	if part != "" {
		options.MoreHeaders = map[string]string{"Range": part}
	}
	return client.Get(ctx, client.ServiceURL("images", id, "file"), nil, options)
}

// partRetries is how often a part of an image is continued that breaks off: who reads it can ask again, too.
const partRetries = 2

// OpenPart returns size of an image's bytes, from one of them on, to be read to their end and closed. They are not verified.
func (c *Cloud) OpenPart(ctx context.Context, id string, from, size int64) (io.ReadCloser, error) {
	client, err := c.glance()
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return http.NoBody, nil
	}
	op := fmt.Sprintf("download a part of image %q", id)
	rest := func(ctx context.Context, read int64) (io.ReadCloser, error) {
		body, err := openPart(ctx, client, id, from+read, size-read)
		if err != nil && !isAway(err) {
			err = fmt.Errorf("%w: %w", transfer.ErrNoRest, err)
		}
		return body, err
	}
	first, err := openPart(ctx, client, id, from, size)
	if err != nil {
		return nil, explain(op, err)
	}
	return part{transfer.NewBody(ctx, first, size, partRetries, rest), op}, nil
}

// openPart asks for a part. Where the store behind Glance has no parts, Glance refuses, or sends all: then what is before the
// part is skipped.
func openPart(ctx context.Context, client *gophercloud.ServiceClient, id string, from, size int64) (io.ReadCloser, error) {
	wanted := ""
	if from > 0 {
		wanted = fmt.Sprintf("bytes=%d-%d", from, from+size-1)
	}
	answer, err := getPart(ctx, client, id, wanted)
	if wanted != "" && gophercloud.ResponseCodeIs(err, http.StatusBadRequest) {
		answer, err = getPart(ctx, client, id, "")
	}
	if err != nil {
		return nil, err
	}
	body := limitedBody{io.LimitReader(answer.Body, size), answer.Body}
	said := answer.Header.Get("Content-Range")
	switch {
	case answer.StatusCode == http.StatusNoContent:
		err = errNoBytes
	case answer.StatusCode == http.StatusPartialContent && !strings.HasPrefix(said, fmt.Sprintf("bytes %d-", from)):
		err = fmt.Errorf("%w: asked for %s, Glance sends %q", transfer.ErrNoRest, wanted, said)
	case answer.StatusCode == http.StatusOK:
		_, err = io.CopyN(io.Discard, answer.Body, from)
	}
	if err == io.EOF {
		err = errNoBytes
	}
	if err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return body, nil
}

var errNoBytes = errors.New("Glance has none of these bytes")

// limitedBody is a part of an answer.
type limitedBody struct {
	io.Reader
	io.Closer
}

// part says of its errors what was read.
type part struct {
	io.ReadCloser
	op string
}

// Read implements io.Reader.
func (p part) Read(into []byte) (int, error) {
	n, err := p.ReadCloser.Read(into)
	if err != nil && err != io.EOF {
		err = explain(p.op, err)
	}
	return n, err
}

// download verifies what it reads.
type download struct {
	io.ReadCloser
	op        string
	algorithm string
	sum       hash.Hash
	want      string // empty where Glance has no checksum of this kind
}

// newDownload compares the checksum that Glance was told, or has made: sha512 unless its operator has chosen another, and md5
// in clouds of before Rocky.
func newDownload(op string, found *images.Image, body io.ReadCloser) *download {
	d := &download{ReadCloser: body, op: op, algorithm: "md5", sum: md5.New(), want: found.Checksum}
	if value, _ := found.Properties["os_hash_value"].(string); value != "" && found.Properties["os_hash_algo"] == "sha512" {
		d.algorithm, d.sum, d.want = "sha512", sha512.New(), value
	}
	return d
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	d.sum.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, explain(d.op, err)
	case d.want != "" && d.want != hex.EncodeToString(d.sum.Sum(nil)):
		return n, &Error{Op: d.op, Err: fmt.Errorf("%w, or where it is stored: its %s is not what Glance says", ErrDamaged, d.algorithm)}
	}
	return n, io.EOF
}
