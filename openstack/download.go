package openstack

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// OpenImage returns an image's bytes, to be read to their end and closed. Bytes that are not those that Glance was
// given make the reading fail at its end.
func (c *Cloud) OpenImage(ctx context.Context, id string) (io.ReadCloser, error) {
	client, err := c.glance()
	if err != nil {
		return nil, err
	}
	op := fmt.Sprintf("download image %q", id)
	found, err := images.Get(ctx, client, id).Extract()
	if err != nil {
		return nil, explain(op, err)
	}
	body, err := imagedata.Download(ctx, client, id).Extract()
	if err != nil {
		return nil, explain(op, err)
	}
	algorithm, _ := found.Properties["os_hash_algo"].(string)
	want, _ := found.Properties["os_hash_value"].(string)
	if algorithm != "sha512" {
		want = ""
	}
	return &download{ReadCloser: body, op: op, sum: sha512.New(), want: want, size: found.SizeBytes}, nil
}

// download verifies what it reads.
type download struct {
	io.ReadCloser
	op   string
	sum  hash.Hash
	want string // empty where Glance has none of this kind
	size int64
	n    int64
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	d.sum.Write(p[:n])
	d.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		if failed := d.verify(); failed != nil {
			return n, &Error{Op: d.op, Err: failed}
		}
	case err != nil:
		return n, &Error{Op: d.op, Err: err}
	}
	return n, err
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
