package glance

import (
	"context"
	"sync"
	"time"
)

// How many images are stored at a time: each has up to maxContent bytes in memory. And how many are read, to know what is in them.
const (
	maxStoring          = 16
	maxStoringOfProject = 4
	maxReading          = 16
	maxReadingOfProject = 4
)

// How long one image is stored, and how long another one waits for its turn.
const (
	storeWithin = 10 * time.Minute
	turnWithin  = 30 * time.Second
)

// turns are those of projects to do something with an image. A project that does much waits for itself first.
type turns struct {
	within    time.Duration
	all       chan struct{}
	ofProject int
	lock      sync.Mutex
	projects  map[string]*turnsOfProject
}

type turnsOfProject struct {
	all   chan struct{}
	users int
}

func newTurns(all, ofProject int) *turns {
	return &turns{within: turnWithin, all: make(chan struct{}, all), ofProject: ofProject, projects: map[string]*turnsOfProject{}}
}

// enter waits for a turn, but not for long. The returned function ends it.
func (t *turns) enter(ctx context.Context, project string) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.within, errNoTurn)
	defer cancel()
	of := t.of(project)
	if err := take(ctx, of.all); err != nil {
		t.done(project, of)
		return nil, err
	}
	if err := take(ctx, t.all); err != nil {
		<-of.all
		t.done(project, of)
		return nil, err
	}
	return func() {
		<-t.all
		<-of.all
		t.done(project, of)
	}, nil
}

func take(ctx context.Context, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *turns) of(project string) *turnsOfProject {
	t.lock.Lock()
	defer t.lock.Unlock()
	of := t.projects[project]
	if of == nil {
		of = &turnsOfProject{all: make(chan struct{}, t.ofProject)}
		t.projects[project] = of
	}
	of.users++
	return of
}

func (t *turns) done(project string, of *turnsOfProject) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if of.users--; of.users == 0 {
		delete(t.projects, project)
	}
}
