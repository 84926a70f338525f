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

	"ndock/docker/transfer"
)

// upload is an image on its way into Glance.
type upload struct {
	what    string // it is, for errors
	request images.CreateOpts
	// open returns the content, and what is to be changed before it is sent. Glance has taken the request then.
	open     func(ctx context.Context) (io.Reader, images.UpdateOpts, error)
	progress io.Writer
	// complete returns what is to be changed when Glance has all bytes. If it fails, the image is removed.
	complete func(ctx context.Context) (images.UpdateOpts, error)
	// shared says that others use the image as soon as it is complete, so that it is not removed where it may be.
	shared bool
}

// ready is content that is open, and of which nothing is known that the request does not say.
func ready(content io.Reader) func(context.Context) (io.Reader, images.UpdateOpts, error) {
	return func(context.Context) (io.Reader, images.UpdateOpts, error) { return content, nil, nil }
}

// uncertain is a fault after which an image may be complete.
type uncertain struct{ cause error }

func (e *uncertain) Error() string { return e.cause.Error() }
func (e *uncertain) Unwrap() error { return e.cause }

// store makes an image. If it fails, nothing of it is left, but of a shared one that may be complete.
func (c *Cloud) store(ctx context.Context, u upload) (Image, error) {
	client, err := c.glance()
	if err != nil {
		return Image{}, err
	}
	created, err := u.create(ctx, client)
	if err != nil {
		return Image{}, explain("create "+u.what, err)
	}
	done, err := c.fill(ctx, client, created.ID, u)
	var perhaps *uncertain
	if u.shared && errors.As(err, &perhaps) {
		return Image{}, err
	}
	if err != nil {
		return Image{}, errors.Join(err, abandon(client, created.ID))
	}
	return imageFrom(*done), nil
}

// create waits for Glance's answer also when it is interrupted, then for no longer than retryTimeout: without the id, the image
// could not be removed.
func (u upload) create(ctx context.Context, client *gophercloud.ServiceClient) (*images.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := patiently(ctx)
	defer cancel()
	return images.Create(ctx, client, u.request).Extract()
}

// patiently returns a context that ends later than ctx: by retryTimeout, so that Glance can answer what it was asked.
func patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	answered, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = transfer.Wait(answered, retryTimeout) // or until it has answered
		cancel()
	})
	return answered, func() { stop(); cancel() }
}

// fill opens the content and sends it, and completes what stands in Glance with what it turned out to be.
func (c *Cloud) fill(ctx context.Context, client *gophercloud.ServiceClient, id string, u upload) (*images.Image, error) {
	content, changes, err := u.open(ctx)
	if err != nil {
		return nil, err
	}
	if len(changes) > 0 {
		if _, err := images.Update(ctx, client, id, changes).Extract(); err != nil {
			return nil, explain("describe "+u.what, err)
		}
	}
	if err := c.refresh(ctx); err != nil {
		return nil, err
	}
	sent, err := u.sendBytes(ctx, client, id, content)
	if err != nil {
		return nil, err
	}
	return u.finish(ctx, client, id, sent)
}

// finish compares what Glance has with what was sent, and completes it.
func (u upload) finish(ctx context.Context, client *gophercloud.ServiceClient, id string, sent *watchedReader) (*images.Image, error) {
	done, err := persist(ctx, func(ctx context.Context) (*images.Image, error) { return images.Get(ctx, client, id).Extract() })
	if err != nil {
		return nil, explain("look at "+u.what, err)
	}
	if err := sent.verify(done); err != nil {
		return nil, &Error{Op: "upload " + u.what, Err: err}
	}
	changes, err := u.complete(ctx)
	if err != nil || len(changes) == 0 {
		return done, err
	}
	done, err = persist(ctx, func(ctx context.Context) (*images.Image, error) {
		ctx, cancel := patiently(ctx)
		defer cancel()
		return images.Update(ctx, client, id, changes).Extract()
	})
	if err == nil {
		return done, nil
	}
	failed, sure := explain("complete "+u.what, err), ctx.Err() == nil && !isAway(err)
	found, err := u.lookAgain(ctx, client, id, changes)
	switch {
	case err != nil, found == nil && u.shared && !sure: // it may be done later
		return nil, &uncertain{failed}
	case found == nil:
		return nil, failed
	}
	return found, nil
}

// lookAgain returns the image if Glance has completed it, though its answer did not come. Others may count on it then: it must
// not be removed. It returns nil for one that is not complete, or gone.
func (u upload) lookAgain(ctx context.Context, client *gophercloud.ServiceClient, id string, changes images.UpdateOpts) (*images.Image, error) {
	found, err := persist(context.WithoutCancel(ctx), func(ctx context.Context) (*images.Image, error) {
		return images.Get(ctx, client, id).Extract()
	})
	switch {
	case isMissing(err), err == nil && !isDone(found, changes):
		return nil, nil
	case err != nil:
		return nil, explain("look at "+u.what, err)
	}
	return found, nil
}

// isDone tells whether Glance has made the changes, of which it makes all or none.
func isDone(image *images.Image, changes images.UpdateOpts) bool {
	for _, change := range changes {
		switch change := change.(type) {
		case images.ReplaceImageName:
			return image.Name == change.NewName
		case images.UpdateImageProperty:
			if change.Op != images.RemoveOp {
				return image.Properties[change.Name] == change.Value
			}
		}
	}
	return false
}

// sendBytes sends all of the content. A source that fails makes the request fail, so that Glance never takes half an image.
func (u upload) sendBytes(ctx context.Context, client *gophercloud.ServiceClient, id string, content io.Reader) (*watchedReader, error) {
	watched := &watchedReader{from: content, progress: u.progress, sum: sha512.New()}
	err := imagedata.Upload(ctx, client, id, watched).ExtractErr()
	if failed := watched.stop(); failed != nil { // the cause; what the service said is its echo
		return nil, &unreadable{fmt.Errorf("read %s: %w", u.what, failed)}
	}
	if watched.tokenEnded {
		return nil, &Error{Op: "upload " + u.what, Err: errTokenEnded}
	}
	if err != nil {
		return nil, explain("upload "+u.what, err)
	}
	return watched, nil
}

// unreadable is a fault of the source, which another attempt would meet too.
type unreadable struct{ cause error }

func (e *unreadable) Error() string { return e.cause.Error() }
func (e *unreadable) Unwrap() error { return e.cause }

// passes tells whether another attempt may end better.
func passes(err error) bool {
	var source *unreadable
	return !errors.As(err, &source) && (errors.Is(err, errTokenEnded) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrLayersGone) || isAway(err))
}

// ErrLayersGone is the error about an image whose layers were there, and are not any more.
var ErrLayersGone = errors.New("layers of it were removed meanwhile; try again")

// ErrDamaged is the error about bytes that are not those that were sent, or stored.
var ErrDamaged = errors.New("it was damaged on the way")

var errTokenEnded = errors.New("the token ended before all was sent; try again")

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
		return fmt.Errorf("%w: Glance has %d bytes, and %d were sent", ErrDamaged, image.SizeBytes, w.size)
	case algorithm == "sha512" && value != sent:
		return fmt.Errorf("%w: in Glance its sha512 is %.16s…, and what was sent has %.16s…", ErrDamaged, value, sent)
	}
	return nil
}

// minTokenTTL is what a token must have left before an upload begins: Glance looks at it once, before it reads.
const minTokenTTL = 5 * time.Minute

// refresh gets a new token where the old one is near its end.
func (c *Cloud) refresh(ctx context.Context) error {
	result, ok := c.provider.GetAuthResult().(interface {
		ExtractToken() (*tokens.Token, error)
	})
	if !ok || c.provider.ReauthFunc == nil {
		return nil
	}
	token, err := result.ExtractToken()
	if err != nil || time.Until(token.ExpiresAt) > minTokenTTL {
		return nil // one of unknown age may do
	}
	if err := c.provider.Reauthenticate(ctx, c.provider.Token()); err != nil {
		return explain("log in again", err)
	}
	return nil
}
