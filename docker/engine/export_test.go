package engine

import (
	"context"
	"time"
)

// InspectLimit is for tests.
const InspectLimit = inspectLimit

// BeginWithin is for tests.
func BeginWithin[T any](ctx context.Context, limit time.Duration, what string, call func(ctx context.Context) (T, error)) (T, error) {
	return beginWithin(ctx, limit, what, call)
}
