package openstack

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// upload sends the bytes. A source that fails makes the request fail, so that Glance never takes half an image.
func (o PushOptions) upload(ctx context.Context, client *gophercloud.ServiceClient, id string) (DockerImage, *watchedReader, error) {
	source, err := o.Open(ctx)
	if err != nil {
		return DockerImage{}, nil, &unreadable{err}
	}
	defer source.Close()
	watched := &watchedReader{from: source, progress: o.Progress, sum: sha512.New()}
	err = imagedata.Upload(ctx, client, id, watched).ExtractErr()
	if failed := watched.stop(); failed != nil { // the cause; what the service said is its echo
		return DockerImage{}, nil, &unreadable{fmt.Errorf("read image %q: %w", o.Name, failed)}
	}
	if watched.tokenEnded {
		return DockerImage{}, nil, &Error{Op: fmt.Sprintf("upload image %q", o.Name), Err: errTokenEnded}
	}
	if err != nil {
		return DockerImage{}, nil, explain(fmt.Sprintf("upload image %q", o.Name), err)
	}
	return source.Found(), watched, nil
}

// unreadable is a fault of the source, which another attempt would meet too.
type unreadable struct{ cause error }

func (e *unreadable) Error() string { return e.cause.Error() }
func (e *unreadable) Unwrap() error { return e.cause }

// passes tells whether another attempt may end better.
func passes(err error) bool {
	var source *unreadable
	return !errors.As(err, &source) && (errors.Is(err, errTokenEnded) || errors.Is(err, errDamaged) || isAway(err))
}

var (
	errTokenEnded = errors.New("the token ended before all was sent; try again")
	errDamaged    = errors.New("it was damaged on the way")
)

// watchedReader counts and hashes what is read and keeps the error that reading ended in, until it is stopped: where a
// service answers early, the transport may still be reading.
type watchedReader struct {
	from io.Reader

	mu         sync.Mutex // guards all below
	progress   io.Writer
	sum        hash.Hash
	size       int64
	failed     error
	tokenEnded bool
	stopped    bool
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return n, err
	}
	w.sum.Write(p[:n])
	w.size += int64(n)
	if w.progress != nil {
		if _, err := w.progress.Write(p[:n]); err != nil {
			w.progress = nil // a bar that cannot be drawn is no reason to stop
		}
	}
	if err != nil && err != io.EOF {
		w.failed = err
	}
	return n, err
}

// Seek refuses. gophercloud seeks when the service did not take the token, to send all again with a new one; a
// reader that could not seek it would send from where it is, and Glance would have half an image for a whole one.
func (w *watchedReader) Seek(int64, int) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokenEnded = true
	return 0, errTokenEnded
}

// stop ends the watch and returns what reading has failed with until then.
func (w *watchedReader) stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	return w.failed
}

// verify compares what Glance has with what was sent. A Glance whose operator has chosen another algorithm than its
// own default is believed the size.
func (w *watchedReader) verify(image *images.Image) error {
	algorithm, _ := image.Properties["os_hash_algo"].(string)
	value, _ := image.Properties["os_hash_value"].(string)
	sent := hex.EncodeToString(w.sum.Sum(nil))
	switch {
	case image.SizeBytes != w.size:
		return fmt.Errorf("%w: Glance has %d bytes, and %d were sent", errDamaged, image.SizeBytes, w.size)
	case algorithm == "sha512" && value != sent:
		return fmt.Errorf("%w: in Glance its sha512 is %.16s…, and what was sent has %.16s…", errDamaged, value, sent)
	}
	return nil
}

// fresh is what a token must have left before an upload begins: Glance looks at it once, before it reads.
const fresh = 5 * time.Minute

// refresh gets a new token where the old one is near its end.
func (c *Cloud) refresh(ctx context.Context) error {
	result, ok := c.provider.GetAuthResult().(interface {
		ExtractToken() (*tokens.Token, error)
	})
	if !ok || c.provider.ReauthFunc == nil {
		return nil
	}
	token, err := result.ExtractToken()
	if err != nil || time.Until(token.ExpiresAt) > fresh {
		return nil // one of unknown age may do
	}
	if err := c.provider.Reauthenticate(ctx, c.provider.Token()); err != nil {
		return explain("log in again", err)
	}
	return nil
}
