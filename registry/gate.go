package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// retryAfter is when a client may try again what the closed gate refused.
const retryAfter = 10 * time.Second

// gate lets requests that write through, or, while it is closed, none. Those that read always pass.
type gate struct {
	lock   sync.Mutex
	closed bool
	inside int           // requests that write
	empty  chan struct{} // closed when the last one has left a closed gate
	cut    func()        // ends what those inside still wait for
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		if !g.enter() {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
			errcode.ServeJSON(w, errcode.ErrorCodeUnavailable.WithMessage("the registry collects garbage and can be read only: try again in a minute")) // a client that is gone is no matter
			return
		}
		defer g.leave()
		next.ServeHTTP(w, r)
	})
}

func (g *gate) enter() bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	if !g.closed {
		g.inside++
	}
	return !g.closed
}

func (g *gate) leave() {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.inside--; g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close closes the gate and waits until nobody is inside. After half of the time those who still send are cut off: who
// sends slowly could keep it from ever being empty. Who closed it opens it. It is open after an error, too.
func (g *gate) close(ctx context.Context, patience time.Duration) error {
	empty, err := g.shut()
	if err != nil {
		return err
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-empty:
		return nil
	default: // someone is inside, be the patience as short as it may
	}
	if patience > 0 {
		defer time.AfterFunc(patience/2, g.cut).Stop()
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		g.open()
		return ctx.Err()
	case <-limit.C:
		return &Error{Err: fmt.Errorf("pushes are still under way after %s (%d requests)", patience, g.open()), hint: "try again later, or wait longer with --wait"}
	}
}

func (g *gate) shut() (empty <-chan struct{}, err error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.closed {
		return nil, errors.New("another collection is under way")
	}
	g.closed, g.empty = true, make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	return g.empty, nil
}

// open tells how many were inside.
func (g *gate) open() int {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.closed = false
	return g.inside
}
