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
	"ndock/registry/internal/turns"
	"ndock/registry/refusal"
)

// sink takes layers.
type sink struct {
	Project
	send   func(ctx context.Context, content io.Reader, complete func() (digest.Digest, error)) (Blob, error)
	runs   atomic.Int32
	memory int64 // that each takes
}

func (s *sink) Memory([]byte) int64 { return s.memory }

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

// wantNoTurns waits until all memory for what goes to Glance is given back.
func wantNoTurns(t *testing.T, all *blobs) {
	t.Helper()
	eventually(t, "the memory is given back", func() bool {
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		leave, err := all.uploads.memory.Enter(gone, all.owner.project, maxSendingOfProject)
		if err == nil {
			leave()
		}
		return err == nil
	})
}

// Only so many uploads of a project go to Glance at a time as there is memory for. Another one loses nothing, and may go on later.
func TestUploadsWaitForMemory(t *testing.T) {
	glance := &sink{send: readAll, memory: maxSendingOfProject / 2}
	all, first, ctx, _ := newUpload(t, time.Minute, glance)
	all.uploads.memory = turns.New(maxSending, maxSendingOfProject, time.Millisecond)
	content := make([]byte, 2<<20)
	var others []*writer
	for range maxSendingOfProject / glance.memory {
		w, err := all.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		others = append(others, w.(*writer))
	}
	why := &refusal.Record{}
	first.ctx = why.Context(ctx)
	if n, err := first.ReadFrom(bytes.NewReader(content)); err == nil || n > maxSmallBlob || n != first.Size() || why.Why() != errNoTurn {
		t.Fatalf("%d bytes are taken of %d, and the client is told %v (%v)", n, first.Size(), why.Why(), err)
	}
	first.Close()
	for _, w := range others {
		if _, err := w.Commit(ctx, v1.Descriptor{Digest: digest.FromBytes(content)}); err != nil {
			t.Fatal(err)
		}
	}
	wantNoTurns(t, all)
	next, err := all.Resume(ctx, first.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Write(content[next.Size():]); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Commit(ctx, v1.Descriptor{Digest: digest.FromBytes(content)}); err != nil {
		t.Fatal(err)
	}
	wantNoTurns(t, all)
}

// A complete blob for which there is no memory stays, and is completed when the client asks again.
func TestCommitWaitsForMemory(t *testing.T) {
	all, w, ctx, why := newUpload(t, time.Minute, &sink{send: readAll, memory: 1})
	all.uploads.memory = turns.New(maxSending, maxSendingOfProject, time.Millisecond)
	flood(all.small, all.owner, maxSmallOfProject, maxSmallBlob) // or else the blob would stay in memory
	leave, err := all.uploads.memory.Enter(ctx, "p", maxSendingOfProject)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, maxSmallBlob)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	said := v1.Descriptor{Digest: digest.FromBytes(content)}
	if _, err := w.Commit(ctx, said); err == nil || why.Why() != errNoTurn {
		t.Fatalf("the client is told %v (%v)", why.Why(), err)
	}
	w.Cancel(ctx) // as distribution does
	w.Close()
	leave()
	next, err := all.Resume(ctx, w.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Commit(ctx, said); err != nil {
		t.Fatal(err)
	}
	wantNoTurns(t, all)
}

// An upload that ends waits no more, and neither does one whose client is gone.
func TestStoppedUploadsWaitNoMore(t *testing.T) {
	for what, end := range map[string]func(w *writer, gone func()){
		"the upload is cancelled": func(w *writer, _ func()) { w.upload.stop(errCancelled) },
		"the registry ends":       func(w *writer, _ func()) { w.uploads.close() },
		"the client is gone":      func(_ *writer, gone func()) { gone() },
	} {
		glance := &sink{send: readAll, memory: maxSendingOfProject / 2}
		all, w, ctx, _ := newUpload(t, time.Minute, glance)
		all.uploads.memory = turns.New(maxSending, maxSendingOfProject, time.Hour)
		leave, err := all.uploads.memory.Enter(ctx, "p", maxSendingOfProject)
		if err != nil {
			t.Fatal(err)
		}
		var gone func()
		w.ctx, gone = context.WithCancel(ctx)
		ended := make(chan error)
		go func() {
			_, err := w.Write(make([]byte, 2<<20))
			ended <- err
		}()
		end(w, gone)
		if err := <-ended; err == nil || glance.runs.Load() != 0 {
			t.Errorf("%s: error %v, and %d uploads go to Glance", what, err, glance.runs.Load())
		}
		leave()
		wantNoTurns(t, all)
		gone()
	}
}

// Whatever ends an upload gives its memory back.
func TestMemoryIsGivenBack(t *testing.T) {
	full := &Refused{Kind: Denied, Reason: errors.New("the project's quota is used up")}
	for what, send := range map[string]func(context.Context, io.Reader, func() (digest.Digest, error)) (Blob, error){
		"it is cancelled": readAll,
		"Glance refuses":  func(context.Context, io.Reader, func() (digest.Digest, error)) (Blob, error) { return Blob{}, full },
	} {
		all, w, _, _ := newUpload(t, time.Minute, &sink{send: send, memory: 1})
		if _, err := w.Write(make([]byte, 2<<20)); (err == nil) != (what == "it is cancelled") {
			t.Errorf("%s: %v", what, err)
		}
		w.Cancel(t.Context())
		wantNoTurns(t, all)
	}
}

// Of requests that have begun at the same size of an upload one goes on: the others count what they send from there.
func TestUploadsFromTheSameOffset(t *testing.T) {
	all, w, ctx, why := newUpload(t, time.Minute, &sink{send: readAll})
	content := make([]byte, 1000)
	if _, err := w.Write(content[:500]); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var both []*writer
	for range 2 {
		next, err := all.Resume(ctx, w.ID())
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, next.(*writer))
	}
	if _, err := both[0].Write(content[500:]); err != nil {
		t.Fatal(err)
	}
	both[0].Close()
	said := v1.Descriptor{Digest: digest.FromBytes(content)}
	for what, goOn := range map[string]func() error{
		"write":  func() error { _, err := both[1].Write(content[500:]); return err },
		"commit": func() error { _, err := both[1].Commit(ctx, said); return err },
	} {
		if err := goOn(); err == nil || why.Why() != errMoved || w.Size() != 1000 {
			t.Errorf("%s: %v, the client is told %v, and %d bytes have come", what, err, why.Why(), w.Size())
		}
		both[1].Cancel(ctx) // as distribution does
	}
	last, err := all.Resume(ctx, w.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Commit(ctx, said); err != nil {
		t.Error(err)
	}
}
