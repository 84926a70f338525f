package glance

import (
	"context"
	"errors"
	"time"

	"ndock/registry/internal/turns"
)

// How many images are stored at a time: each has up to maxContent bytes in memory. And how many are read, to know what is in them;
// and how many blobs are deleted, for each of which all images of the project are read.
const (
	maxStoring           = 16
	maxStoringOfProject  = 4
	maxReading           = 16
	maxReadingOfProject  = 4
	maxDeleting          = 8
	maxDeletingOfProject = 2
)

// How many bytes of memory uploads may take that go to Glance: each is looked into meanwhile, for as long as its client sends.
const (
	maxSending          = 1 << 30
	maxSendingOfProject = 256 << 20
	headSize            = 16 // bytes, by which it is known how much one takes
)

// How long one image is stored, how long another one waits for its turn, and how long an upload stays that got none: it holds back what
// has come of it.
const (
	storeWithin = 10 * time.Minute
	turnWithin  = 30 * time.Second
	idleRefused = time.Minute
)

// turn waits for the project's turn, but not for long. The returned function ends it.
func (r *repository) turn(ctx context.Context, of *turns.Turns) (leave func(), err error) {
	leave, err = of.Enter(ctx, r.owner.project, 1)
	if errors.Is(err, turns.ErrNone) {
		err = errNoTurn
	}
	return leave, err
}
