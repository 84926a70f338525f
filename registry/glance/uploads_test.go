package glance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/registry/auth/keystone"
	"ndock/registry/refusal"
)

// sink takes layers.
type sink struct {
	Project
	send func(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error)
	runs atomic.Int32
}

func (s *sink) SendLayer(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error) {
	s.runs.Add(1)
	defer s.runs.Add(-1)
	return s.send(ctx, content, complete)
}

func readAll(_ context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error) {
	n, err := io.Copy(io.Discard, content)
	if err != nil {
		return Blob{}, err
	}
	d, err := complete()
	return Blob{Digest: d, Size: n, Image: "layer"}, err
}

func newUpload(t *testing.T, idle time.Duration, to *sink) (*blobs, *writer, context.Context, *refusal.Record) {
	t.Helper()
	r := New(Options{OpenUploads: 10, Idle: idle, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(r.Close)
	why := &refusal.Record{}
	ctx := why.Context(t.Context())
	all := &blobs{&repository{Registry: r, short: "web", login: NewLogin(keystone.Token{ID: "first"}), project: to, owner: owner{"p", "ann"}}}
	w, err := all.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return all, w.(*writer), ctx, why
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not so after 10 seconds: %s", what)
		}
	}
}

// An upload that stands still ends, be it because of its client or of Glance, and so does what it sends.
func TestIdleUploads(t *testing.T) {
	for what, send := range map[string]func(context.Context, io.Reader, func() (digest.Digest, error)) (Blob, error){
		"the client sends no more": readAll,
		"Glance takes no more": func(ctx context.Context, _ io.Reader, _ func() (digest.Digest, error)) (Blob, error) {
			<-ctx.Done()
			return Blob{}, ctx.Err()
		},
	} {
		glance := &sink{send: send}
		all, w, ctx, why := newUpload(t, 50*time.Millisecond, glance)
		_, err := w.Write(make([]byte, maxSmallBlob+1))
		w.Close()
		if stuck := what == "Glance takes no more"; stuck != (err != nil) {
			t.Errorf("%s: %v", what, err)
		}
		eventually(t, what+": the upload is gone", func() bool { _, err := all.Resume(ctx, w.ID()); return err != nil })
		eventually(t, what+": nothing is sent", func() bool { return glance.runs.Load() == 0 })
		if err != nil && why.Why().Message != errIdle.Error() {
			t.Errorf("%s: the client is told %v", what, why.Why())
		}
		if _, err := w.Commit(ctx, v1.Descriptor{Digest: digest.FromBytes(make([]byte, maxSmallBlob+1))}); err == nil {
			t.Errorf("%s: it can be completed all the same", what)
		}
		if all.uploads.inHeld != 0 || len(all.uploads.open) != 0 {
			t.Errorf("%s: %d bytes count as held back", what, all.uploads.inHeld)
		}
	}
}

// What Glance refuses in the middle is told to the client, and ends the upload.
func TestGlanceRefusesInTheMiddle(t *testing.T) {
	full := &Refused{Kind: Denied, Reason: errors.New("the project's quota is used up")}
	glance := &sink{send: func(_ context.Context, content io.Reader, _ func() (digest.Digest, error)) (Blob, error) {
		io.CopyN(io.Discard, content, 2<<20)
		return Blob{}, full
	}}
	all, w, ctx, why := newUpload(t, time.Minute, glance)
	n, err := w.ReadFrom(bytes.NewReader(make([]byte, 10<<20)))
	if err == nil || n >= 10<<20 || why.Why() == nil || why.Why().Message != full.Error() || why.Why().Status != 403 {
		t.Errorf("%d bytes are taken, and the client is told %v (%v)", n, why.Why(), err)
	}
	w.Close()
	if _, err := all.Resume(ctx, w.ID()); err == nil {
		t.Error("the upload goes on")
	}
}

// Glance must have made of it what was sent.
func TestGlanceMakesAnotherBlob(t *testing.T) {
	content := make([]byte, 2<<20)
	for _, wrong := range []Blob{{}, {Digest: digest.FromString("other"), Size: 2 << 20, Image: "i"}, {Digest: digest.FromBytes(content), Size: 1, Image: "i"}} {
		_, w, ctx, why := newUpload(t, time.Minute, &sink{send: func(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error) {
			_, err := readAll(ctx, content, complete)
			return wrong, err
		}})
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(ctx, v1.Descriptor{Digest: digest.FromBytes(content)}); err == nil || why.Why() != errFailed {
			t.Errorf("%+v: %v, %v", wrong, err, why.Why())
		}
	}
}

// Only one request writes to an upload at a time, and each brings its token.
func TestUploadOverRequests(t *testing.T) {
	var used keystone.Token
	glance := &sink{}
	all, w, ctx, why := newUpload(t, time.Minute, glance)
	login := w.upload.login
	glance.send = func(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error) {
		blob, err := readAll(ctx, content, complete)
		used = login.Token()
		return blob, err
	}
	content := make([]byte, 3<<20)
	if _, err := w.Write(content[:2<<20]); err != nil {
		t.Fatal(err)
	}
	later := *all.repository
	later.login = NewLogin(keystone.Token{ID: "second", Expires: time.Now()})
	next, err := (&blobs{&later}).Resume(ctx, w.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Write(content[:1]); err == nil || why.Why() != refusal.Busy {
		t.Errorf("two requests write at once: %v", err)
	}
	w.Close()
	if _, err := next.Write(content[2<<20:]); err != nil {
		t.Fatal(err)
	}
	if got, err := next.Commit(ctx, v1.Descriptor{Digest: digest.FromBytes(content)}); err != nil || got.Size != 3<<20 {
		t.Errorf("got %+v, %v", got, err)
	}
	if used.ID != "second" {
		t.Errorf("Glance was asked with the token %q in the end", used.ID)
	}
}

// Where no more can be held back in memory, all goes to Glance at once.
func TestHeldBackIsBounded(t *testing.T) {
	glance := &sink{send: readAll}
	all, first, ctx, _ := newUpload(t, time.Minute, glance)
	all.uploads.most = 0
	writers := []*writer{first}
	for range 2 * maxHeldOfProject / maxSmallBlob {
		w, err := all.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w.(*writer))
	}
	for _, w := range writers {
		if _, err := w.Write(make([]byte, maxSmallBlob)); err != nil {
			t.Fatal(err)
		}
	}
	if all.uploads.inHeld > maxHeldOfProject || glance.runs.Load() == 0 {
		t.Errorf("%d bytes are held back, and %d uploads go to Glance", all.uploads.inHeld, glance.runs.Load())
	}
	for _, w := range writers {
		if _, err := w.Commit(ctx, v1.Descriptor{Digest: digest.FromBytes(make([]byte, maxSmallBlob))}); err != nil {
			t.Fatal(err)
		}
	}
	if all.uploads.inHeld != 0 || len(all.uploads.held) != 0 || len(all.uploads.all) != 0 {
		t.Errorf("%d bytes count as held back when all is complete", all.uploads.inHeld)
	}
}
