package system

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Permanent marks an error that waiting will not mend: Await returns it at once.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ error }

func (p *permanentError) Unwrap() error { return p.error }

// Await calls ready, at intervals, until it returns nil or a permanent error. When the limit is over it returns the last
// error.
func Await(ctx context.Context, every, limit time.Duration, ready func(context.Context) error) error {
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := ready(inTime)
		var end *permanentError
		if err == nil || errors.As(err, &end) {
			return err
		}
		if inTime.Err() == nil || last == nil { // else it only says that the time is up
			last = err
		}
		select {
		case <-inTime.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("gave up after %s: %w", limit, last)
		case <-time.After(every):
		}
	}
}
