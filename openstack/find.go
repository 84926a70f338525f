package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// lookup finds one object of a kind by its id or its name.
type lookup[T any] struct {
	kind   string
	byID   func(ctx context.Context, id string) (T, error)
	byName func(ctx context.Context, name string) ([]T, error)
	id     func(T) string
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
		return none, &Error{Op: op, Err: ErrNotFound}
	case len(matches) > 1:
		return none, &Error{Op: op, Err: fmt.Errorf("%d have that name: %s", len(matches), strings.Join(l.ids(matches), ", ")), hint: "name it by its id"}
	}
	return matches[0], nil
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
