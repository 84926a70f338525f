package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"ndock/openstack/similar"
)

// lookup finds one object of a kind by its id or its name.
type lookup[T any] struct {
	kind   string
	byID   func(ctx context.Context, id string) (T, error)
	byName func(ctx context.Context, name string) ([]T, error)
	id     func(T) string
	names  func(ctx context.Context) ([]string, error) // that there are, for who mistypes one; nil if nobody is told
}

// ErrNotFound is what a lookup ends in when there is no such object.
var ErrNotFound = errors.New("there is none of that name or id")

// find takes an id before a name. Two of one name are an error that lists them.
func (l lookup[T]) find(ctx context.Context, nameOrID string) (T, error) {
	var none T
	op := fmt.Sprintf("%s %q", l.kind, nameOrID)
	if nameOrID == "" {
		return none, &Error{Op: op, Err: ErrNotFound}
	}
	if canBeID(nameOrID) {
		found, err := l.byID(ctx, url.PathEscape(nameOrID))
		if err == nil {
			return found, nil
		}
		if !isMissing(err) {
			return none, explain(op, err)
		}
	}
	matches, err := l.byName(ctx, nameOrID)
	switch {
	case err != nil:
		return none, explain(op, err)
	case len(matches) == 0:
		return none, &Error{Op: op, Err: ErrNotFound, hint: l.didYouMean(ctx, nameOrID)}
	case len(matches) > 1:
		return none, &Error{Op: op, Err: fmt.Errorf("%d have that name: %s", len(matches), strings.Join(l.ids(matches), ", ")), hint: "name it by its id"}
	}
	return matches[0], nil
}

// didYouMean asks for the names that are nearly this one. It takes no time that matters to who waits for an error.
func (l lookup[T]) didYouMean(ctx context.Context, name string) string {
	if l.names == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	names, err := l.names(ctx)
	if err != nil {
		return "" // that there is none of that name is said all the same
	}
	return similar.Question(similar.Names(name, names))
}

// namesIn returns the names of what a list has.
func namesIn[T any](list func(context.Context) ([]T, error), name func(T) string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		all, err := list(ctx)
		names := make([]string, len(all))
		for i, one := range all {
			names[i] = name(one)
		}
		return names, err
	}
}

func (l lookup[T]) ids(objects []T) []string {
	ids := make([]string, len(objects))
	for i, object := range objects {
		ids[i] = l.id(object)
	}
	return ids
}

// canBeID tells whether a service can be asked for this as an id. Other paths are there under these names.
func canBeID(text string) bool { return text != "detail" && text != "." && text != ".." }

// isMissing is also true of what cannot be an id in the service's eyes.
func isMissing(err error) bool {
	return gophercloud.ResponseCodeIs(err, http.StatusNotFound) || gophercloud.ResponseCodeIs(err, http.StatusBadRequest)
}

// Abbreviate joins names, of many the first five.
func Abbreviate(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
