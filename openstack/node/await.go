package node

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// hopeless is an error that waiting will not mend.
type hopeless struct{ error }

func (h *hopeless) Unwrap() error { return h.error }

// await asks until there is no error, and returns the last one when the time is up.
func await(ctx context.Context, every, limit time.Duration, ready func(context.Context) error) error {
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		err := ready(inTime)
		var end *hopeless
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
