package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const healthTimeout = 5 * time.Second // for the storage

// health is whether a registry can take and give images.
type health struct {
	images   images
	draining atomic.Bool
	asking   singleflight.Group // them, which may hang
}

// ServeHTTP implements http.Handler. It answers 200, or 503 with the reason.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := h.check(r.Context()); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *health) check(ctx context.Context) error {
	if h.draining.Load() {
		return errors.New("the registry is ending")
	}
	answer := h.asking.DoChan("", func() (any, error) {
		return nil, h.images.Probe(context.WithoutCancel(ctx))
	})
	select {
	case result := <-answer:
		if result.Err != nil {
			return fmt.Errorf("the storage: %w", result.Err)
		}
		return nil
	case <-time.After(healthTimeout):
		return fmt.Errorf("the storage does not answer within %s", healthTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}
