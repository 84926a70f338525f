package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// maxFailures is how often a registry may fail before a list ends. Each failure takes seconds, because requests are
// tried again.
const maxFailures = 10

// maxNames is how many repositories and tags a list has together: a registry may name them without end.
const maxNames = 100_000

// List returns the tagged images in one repository or, without a name, in all of them. With an error it returns what
// could be listed until then.
func (r Registry) List(ctx context.Context, repository string) ([]Image, error) {
	reader, err := r.open()
	if err != nil {
		return nil, err
	}
	l := &lister{reader: reader, seen: map[string]Image{}}
	l.group, l.ctx = errgroup.WithContext(ctx)
	l.group.SetLimit(maxRequests)
	if repository != "" {
		err = l.listNamed(repository)
	} else {
		err = l.listAll()
	}
	if failed := l.group.Wait(); failed != nil {
		err = failed // which is why the walk ended, if it did
	}
	if err == nil {
		err = l.checkMissing(ctx)
	}
	err = errors.Join(append(l.failures, err)...)
	slices.SortFunc(l.found, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag))
	})
	return l.found, err
}

// lister reads pages of names, while the images of earlier ones are looked at.
type lister struct {
	*reader
	ctx     context.Context // ends when looking at one of them has failed
	group   *errgroup.Group
	lock    sync.Mutex
	found   []Image
	seen    map[string]Image // by repository and digest: many tags may name one
	missing []name.Tag       // that were listed, and had no image

	names    int     // of repositories and tags, so far
	failures []error // of the registry, with a whole repository
	failed   int     // how often it has failed in all
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
	for _, size := range []int{0, 100, 10} { // repositories a page: go-containerregistry's, or what a registry may be content with
		err = l.listPages(at, size)
		if !pageTooLarge(err) {
			break
		}
	}
	return err
}

// listPages lists repositories, so many to a page; 0 for the default.
func (l *lister) listPages(at name.Registry, size int) error {
	options := slices.Clone(l.Options)
	if size > 0 {
		options = append(options, remote.WithPageSize(size))
	}
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return l.explain("ask "+l.Address, err)
	}
	pages, err := puller.Catalogger(l.ctx, at)
	if err != nil {
		return l.explain("list repositories of "+l.Address, err)
	}
	for pages.HasNext() {
		page, err := pages.Next(l.ctx)
		if err != nil {
			return l.explain("list repositories of "+l.Address, err)
		}
		if err := l.countNames(len(page.Repos)); err != nil {
			return l.explain("list repositories of "+l.Address, err)
		}
		for _, one := range page.Repos {
			if err := l.listRepository(at.Repo(one)); err != nil && !gone(err) { // it has no tag any more
				if err := l.recordFailure("list repository "+one, err); err != nil {
					return err
				}
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
		if err := l.countNames(len(page.Tags)); err != nil {
			return err
		}
		for _, tag := range page.Tags {
			l.group.Go(func() error { return l.add(repository.Tag(tag)) })
		}
	}
	return nil
}

// errTooManyNames ends a list.
var errTooManyNames = fmt.Errorf("there are more than %d repositories and tags: list one repository", maxNames)

// countNames counts those of a page, and the page, which may be empty.
func (l *lister) countNames(more int) error {
	if l.names += more + 1; l.names > maxNames {
		return errTooManyNames
	}
	return nil
}

// recordFailure records that a repository cannot be listed. It returns the error if it ends the list.
func (l *lister) recordFailure(op string, err error) error {
	if endsList(l.ctx, err) {
		return l.explain(op, err)
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.failures = append(l.failures, l.failure(op, err))
	return l.countFailure(err)
}

// look returns what is listed of an image.
func (l *lister) look(ref name.Tag) (Image, error) {
	found, err := l.puller.Get(l.ctx, ref)
	if err != nil {
		return Image{}, err
	}
	key := ref.Context().Digest(found.Digest.String()).Name()
	l.lock.Lock()
	image, known := l.seen[key]
	l.lock.Unlock()
	if known {
		image.Tag = ref.TagStr()
		return image, nil
	}
	image, err = l.describe(l.ctx, ref, found)
	if err != nil {
		return Image{}, err
	}
	image.Layers, image.Manifests, image.Entrypoint, image.Command = nil, nil, nil, nil // which may be large
	l.lock.Lock()
	defer l.lock.Unlock()
	l.seen[key] = image
	return image, nil
}

func (l *lister) add(ref name.Tag) error {
	image, err := l.look(ref)
	if err != nil && endsList(l.ctx, err) {
		return l.explain("look at "+l.short(ref), err)
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	var wrong *damage
	switch {
	case gone(err):
		l.missing = append(l.missing, ref)
	case errors.As(err, &wrong):
		l.found = append(l.found, l.damaged(ref, wrong))
	case err != nil:
		l.found = append(l.found, Image{
			Repository: ref.Context().RepositoryStr(), Tag: ref.TagStr(), Failure: l.failure("look at "+l.short(ref), err),
		})
		return l.countFailure(err)
	default:
		l.found = append(l.found, image)
	}
	return nil
}

// countFailure returns an error when the registry has failed too often. It does not count refusals of access.
func (l *lister) countFailure(cause error) error {
	if status(cause) == http.StatusForbidden {
		return nil
	}
	if l.failed++; l.failed < maxFailures {
		return nil
	}
	return &Error{Op: "list what is in " + l.Address, Err: fmt.Errorf("the registry has not answered %d times what it was asked, and is not asked for more", l.failed)}
}

// endsList returns whether an error is not about one image alone: the registry is away, or wants to be left alone. A
// connection that breaks off may be about one image, as distribution does at some manifests.
func endsList(ctx context.Context, err error) bool {
	var unreachable *url.Error
	switch status(err) {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return ctx.Err() != nil || errors.Is(err, errTooManyNames) || errors.As(err, &unreachable) && !brokenOff(err)
}

// brokenOff returns whether a registry was there and did not answer.
func brokenOff(err error) bool {
	var stream streamError
	return errors.Is(err, io.EOF) || errors.As(err, &stream)
}

// streamError matches an unexported error of net/http for HTTP/2.
type streamError struct {
	StreamID, Code uint32
	Cause          error
}

func (e streamError) Error() string { return "the registry broke off" }

// failure returns the error of a registry that fails or refuses.
func (l *lister) failure(op string, cause error) error {
	said := ""
	switch code := status(cause); code {
	case 0:
	case http.StatusUnauthorized, http.StatusForbidden: // which concerns who asks
		return l.explain(op, cause)
	default:
		said = fmt.Sprintf(" (%d %s)", code, http.StatusText(code))
	}
	return &Error{
		Op: op, Err: fmt.Errorf("the registry, or what it stores in, fails%s: %w", said, cause),
		hint: "the registry's log says why; when its disk or bucket is well again, so may this be",
	}
}

// damaged returns an image of which the registry has not all that was pushed.
func (l *lister) damaged(ref name.Tag, wrong *damage) Image {
	short := l.short(ref)
	said := &Error{Op: "look at " + short, Err: wrong}
	if _, err := l.ParseExact(short); err == nil { // or else it is no name to put into a command
		said.hint = wrong.hint(fmt.Sprintf("'ndock registry delete --registry %s %s'", l.Address, short))
	}
	return Image{Repository: ref.Context().RepositoryStr(), Tag: ref.TagStr(), Damage: said}
}

// checkMissing looks again for images that were missing. One whose tag is still listed is damaged; the others were
// deleted meanwhile.
func (l *lister) checkMissing(ctx context.Context) error {
	l.ctx = ctx // that of the group has ended
	suspects := l.missing
	l.missing = nil
	for _, ref := range suspects {
		if err := l.add(ref); err != nil {
			return err
		}
	}
	listed := map[string][]string{}
	for _, ref := range l.missing {
		repository := ref.Context()
		if _, known := listed[repository.Name()]; !known {
			tags, err := l.puller.List(ctx, repository)
			if err != nil && !gone(err) {
				return l.explain("list repository "+repository.RepositoryStr(), err)
			}
			listed[repository.Name()] = tags
		}
		if slices.Contains(listed[repository.Name()], ref.TagStr()) {
			l.found = append(l.found, l.damaged(ref, errNoImage))
		}
	}
	return nil
}

// errNoImage is for a tag without an image.
var errNoImage = &damage{Err: errors.New("the registry lists the tag, and says that its image is not there")}

func (r Registry) open() (*reader, error) {
	puller, err := remote.NewPuller(r.Options...)
	if err != nil {
		return nil, r.explain("ask "+r.Address, err)
	}
	return &reader{Registry: r, puller: puller}, nil
}
