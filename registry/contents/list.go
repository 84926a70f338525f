package contents

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// List returns what has a tag, in one repository or, without a name, in all of them.
func (r Registry) List(ctx context.Context, repository string) ([]Image, error) {
	reader, err := r.open()
	if err != nil {
		return nil, err
	}
	l := &lister{reader: reader}
	l.group, l.ctx = errgroup.WithContext(ctx)
	l.group.SetLimit(atOnce)
	if repository != "" {
		err = l.listNamed(repository)
	} else {
		err = l.listAll()
	}
	if failed := l.group.Wait(); failed != nil {
		err = failed // which is why the walk ended, if it did
	}
	slices.SortFunc(l.found, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag))
	})
	return l.found, err
}

// lister walks through pages of names, while images are looked at.
type lister struct {
	*reader
	ctx   context.Context // ends when looking at one of them has failed
	group *errgroup.Group
	lock  sync.Mutex
	found []Image
}

func (l *lister) listNamed(repository string) error {
	named, err := l.Parse(repository)
	if err != nil {
		return err
	}
	return l.explain("list repository "+named.Context().RepositoryStr(), l.listRepository(named.Context()))
}

func (l *lister) listAll() error {
	at, err := name.NewRegistry(l.Address, l.naming()...)
	if err != nil {
		return &Error{Op: "list repositories", Err: err}
	}
	pages, err := l.puller.Catalogger(l.ctx, at)
	if err != nil {
		return l.explain("list repositories of "+l.Address, err)
	}
	for pages.HasNext() {
		page, err := pages.Next(l.ctx)
		if err != nil {
			return l.explain("list repositories of "+l.Address, err)
		}
		for _, one := range page.Repos {
			err := l.listRepository(at.Repo(one))
			if err != nil && !gone(err) { // it has no tag any more
				return l.explain("list repository "+one, err)
			}
		}
	}
	return nil
}

func (l *lister) listRepository(repository name.Repository) error {
	pages, err := l.puller.Lister(l.ctx, repository)
	if err != nil {
		return err
	}
	for pages.HasNext() {
		page, err := pages.Next(l.ctx)
		if err != nil {
			return err
		}
		for _, tag := range page.Tags {
			l.group.Go(func() error { return l.add(repository.Tag(tag)) })
		}
	}
	return nil
}

func (l *lister) add(ref name.Tag) error {
	image, err := l.look(l.ctx, ref)
	if gone(err) { // deleted since, or half a tag of a push that was broken off
		return nil
	}
	if err != nil {
		return l.explain("look at "+l.short(ref), err)
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.found = append(l.found, image)
	return nil
}

func (r Registry) open() (*reader, error) {
	puller, err := remote.NewPuller(r.Options...)
	if err != nil {
		return nil, r.explain("ask "+r.Address, err)
	}
	return &reader{Registry: r, puller: puller}, nil
}
