package glance

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"ndock/registry/internal/turns"
	"ndock/registry/refusal"
)

// How many bytes of uploads are held back in memory. What is more goes to Glance at once.
const (
	maxHeld          = 128 << 20
	maxHeldOfProject = 32 << 20
)

// endWithin is how long the end of uploads is waited for when the registry ends: Glance is told to remove what has come.
const endWithin = 20 * time.Second

// uploads are those that are under way.
type uploads struct {
	most   int // of a project; any number when 0
	idle   time.Duration
	memory *turns.Turns // for what goes to Glance

	ctx     context.Context // of what they send to Glance
	end     context.CancelFunc
	sending sync.WaitGroup

	lock   sync.Mutex
	ending bool
	all    map[string]*upload
	open   map[string]int // by project
	held   map[string]int // bytes held back, by project
	inHeld int            // by all of them
}

func newUploads(most int, idle time.Duration) *uploads {
	u := &uploads{most: most, idle: idle, memory: turns.New(maxSending, maxSendingOfProject, turnWithin), all: map[string]*upload{}, open: map[string]int{}, held: map[string]int{}}
	u.ctx, u.end = context.WithCancel(context.Background())
	return u
}

// close ends all uploads, and waits until they have.
func (u *uploads) close() {
	u.lock.Lock()
	u.ending = true
	all := slices.Collect(maps.Values(u.all))
	u.lock.Unlock()
	for _, one := range all {
		one.stop(errEnding)
	}
	u.end()
	ended := make(chan struct{})
	go func() { u.sending.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(endWithin):
	}
}

// create begins an upload to a repository.
func (u *uploads) create(to *repository) (*upload, error) {
	one := &upload{
		uploads: u, id: uuid.NewString(), owner: to.owner, repository: to.short, started: time.Now().UTC(),
		login: to.login, project: to.project, turn: make(chan struct{}, 1), hash: sha256.New(), sent: make(chan struct{}),
	}
	one.ctx, one.cancel = context.WithCancel(u.ctx)
	u.lock.Lock()
	defer u.lock.Unlock()
	switch n := u.open[to.owner.project]; {
	case u.ending:
		return nil, errEnding
	case u.most > 0 && n >= u.most:
		return nil, tooManyUploads(n)
	}
	u.open[to.owner.project]++
	u.all[one.id] = one
	one.idle = time.AfterFunc(u.idle, func() { one.stop(errIdle) })
	return one, nil
}

func tooManyUploads(open int) error {
	return &refusal.Refusal{
		Status: http.StatusTooManyRequests, Code: errcode.ErrorCodeTooManyRequests, RetryAfter: refusal.RetryUploads,
		Message: fmt.Sprintf("the project has %d uploads open, and may have no more: complete or cancel some", open),
	}
}

// get returns an upload of the user to the repository; nil for none. From now on it uses the token of this request.
func (u *uploads) get(to *repository, id string) *upload {
	u.lock.Lock()
	one := u.all[id]
	u.lock.Unlock()
	if one == nil || one.owner != to.owner || one.repository != to.short {
		return nil
	}
	one.login.renew(to.login.Token())
	return one
}

// drop removes an upload.
func (u *uploads) drop(one *upload) {
	u.lock.Lock()
	defer u.lock.Unlock()
	if u.all[one.id] != one {
		return
	}
	delete(u.all, one.id)
	u.hold(one, -one.held)
	if u.open[one.owner.project]--; u.open[one.owner.project] == 0 {
		delete(u.open, one.owner.project)
	}
}

// holdBack counts bytes that an upload holds back. It returns false if there is no room for them.
func (u *uploads) holdBack(one *upload, more int) bool {
	u.lock.Lock()
	defer u.lock.Unlock()
	if u.all[one.id] != one || u.inHeld+more > maxHeld || u.held[one.owner.project]+more > maxHeldOfProject {
		return false
	}
	u.hold(one, more)
	return true
}

// release counts the bytes no more that an upload held back.
func (u *uploads) release(one *upload) {
	u.lock.Lock()
	defer u.lock.Unlock()
	u.hold(one, -one.held)
}

func (u *uploads) hold(one *upload, more int) {
	one.held += more
	u.inHeld += more
	if u.held[one.owner.project] += more; u.held[one.owner.project] == 0 {
		delete(u.held, one.owner.project)
	}
}

// An upload is a blob that comes. What is more than a small blob goes to Glance while it comes, over all of the upload's requests.
type upload struct {
	uploads    *uploads
	id         string
	owner      owner
	repository string
	started    time.Time
	login      *Login
	project    Project
	ctx        context.Context
	cancel     context.CancelFunc
	idle       *time.Timer
	size       atomic.Int64
	held       int // bytes of head that are counted, by uploads

	turn chan struct{} // has room for the request that writes: the next four are that one's
	hash hash.Hash
	head []byte         // that is held back
	to   *io.PipeWriter // to Glance; nil while all is held back

	lock  sync.Mutex
	whole digest.Digest // when all has come
	why   error         // it has ended before

	sent chan struct{} // closed when Glance has the blob, or has not
	blob Blob
	err  error
}

// take makes a request the one that writes. It returns false while another one does.
func (u *upload) take() bool {
	select {
	case u.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (u *upload) give() { <-u.turn }

// hold takes bytes that came, and holds them back. It returns false if there is no room for them.
func (u *upload) hold(p []byte) bool {
	if u.to != nil || len(u.head)+len(p) > maxSmallBlob || !u.uploads.holdBack(u, len(p)) {
		return false
	}
	u.count(p)
	u.head = append(u.head, p...)
	return true
}

// write takes bytes that came, for Glance.
func (u *upload) write(p []byte) error {
	if err := u.stopped(); err != nil {
		return err
	}
	u.count(p)
	return u.pass(p)
}

func (u *upload) count(p []byte) {
	u.idle.Reset(u.uploads.idle)
	u.hash.Write(p)
	u.size.Add(int64(len(p)))
}

// enter waits for the memory that it takes to send what is held back, and then next. The returned function gives it back.
func (u *upload) enter(ctx context.Context, next []byte) (leave func(), err error) {
	if err := u.stopped(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.ctx, cancel)()
	head := slices.Concat(u.head[:min(len(u.head), headSize)], next[:min(len(next), headSize)])
	leave, err = u.uploads.memory.Enter(ctx, u.owner.project, u.project.Memory(head))
	switch {
	case err != nil && u.stopped() != nil:
		err = u.stopped()
	case errors.Is(err, turns.ErrNone):
		u.idle.Reset(min(u.uploads.idle, idleRefused))
		err = errNoTurn
	}
	return leave, err
}

// send begins to send what comes to Glance.
func (u *upload) send(leave func()) error {
	from, to := io.Pipe()
	head := u.head
	u.to, u.head = to, nil
	context.AfterFunc(u.ctx, func() { to.CloseWithError(context.Cause(u.ctx)) }) // or else a write would wait for ever
	u.uploads.sending.Go(func() {
		defer leave()
		u.blob, u.err = u.project.SendLayer(u.ctx, from, u.complete)
		from.CloseWithError(errors.Join(u.err, io.ErrClosedPipe))
		close(u.sent)
	})
	err := u.pass(head)
	u.uploads.release(u)
	return err
}

// pass gives bytes to Glance, and returns why it takes no more.
func (u *upload) pass(p []byte) error {
	_, err := u.to.Write(p)
	switch {
	case err == nil:
		return nil
	case u.stopped() != nil:
		return u.stopped()
	}
	<-u.sent
	if u.err != nil {
		return u.err
	}
	return err
}

// complete returns the digest when all has come. SendLayer asks at the end.
func (u *upload) complete() (digest.Digest, error) {
	u.lock.Lock()
	defer u.lock.Unlock()
	switch {
	case u.why != nil:
		return "", u.why
	case u.whole == "":
		return "", io.ErrUnexpectedEOF
	}
	return u.whole, nil
}

// finish says that all has come, and waits until Glance has it. That it goes on when the client is gone does no harm.
func (u *upload) finish(ctx context.Context, d digest.Digest) (Blob, error) {
	u.lock.Lock()
	u.whole = d
	u.lock.Unlock()
	u.to.Close()
	select {
	case <-u.sent:
	case <-ctx.Done():
		return Blob{}, ctx.Err()
	}
	switch {
	case u.stopped() != nil:
		return Blob{}, u.stopped()
	case u.err != nil:
		return Blob{}, u.err
	case u.blob.Digest != d || u.blob.Size != u.size.Load() || !valid(u.blob):
		return Blob{}, fmt.Errorf("blob %s of %d bytes became blob %s of %d bytes in Glance", d, u.size.Load(), u.blob.Digest, u.blob.Size)
	}
	return u.blob, nil
}

// stop ends the upload, and what it sends to Glance. The first reason counts.
func (u *upload) stop(why error) {
	u.lock.Lock()
	if u.why == nil {
		u.why = why
	}
	u.lock.Unlock()
	u.idle.Stop()
	u.cancel()
	u.uploads.drop(u)
}

// stopped returns why the upload has ended; nil if it has not.
func (u *upload) stopped() error {
	u.lock.Lock()
	defer u.lock.Unlock()
	return u.why
}
