package system

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// permanent marks an error that waiting will not mend: await returns it at once.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ error }

func (p *permanentError) Unwrap() error { return p.error }

// await asks until there is no error, and returns the last one when the time is up.
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
