package metrics

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How long a scrape may take. Prometheus gives up after 10 s, unless it is told otherwise, and would then know nothing at all.
const (
	collectLimit = 6 * time.Second // for a part to give up, with what it has until then
	answerLimit  = 7 * time.Second // after which parts are left out that do not give up
)

// send takes one value of a metric.
type send func(prometheus.Metric)

// A part is what is collected together. It may send some metrics and fail all the same.
type part struct {
	name    string
	collect func(ctx context.Context, send send) error
	busy    atomic.Bool
	failing bool // so that the log has it once
}

// result is what came of a part.
type result struct {
	metrics []prometheus.Metric
	err     error
}

var (
	errBusy = errors.New("the last scrape's is still under way")
	errLate = errors.New("it took too long, and goes on")
)

// start collects in a goroutine of its own, of which each part has one at most: a part that hangs is not begun again.
func (p *part) start(ctx context.Context) <-chan result {
	done := make(chan result, 1)
	if !p.busy.CompareAndSwap(false, true) {
		done <- result{err: errBusy}
		return done
	}
	go func() {
		var r result
		r.err = p.collect(ctx, func(m prometheus.Metric) { r.metrics = append(r.metrics, m) })
		p.busy.Store(false)
		done <- r
	}()
	return done
}

// wait returns the part's result, or that it is late.
func wait(ctx context.Context, done <-chan result) result {
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r
	default:
		return result{err: errLate}
	}
}

// scraper collects all parts, once at a time: see page.
type scraper struct {
	parts []*part
	log   *slog.Logger

	success  *prometheus.Desc
	duration *prometheus.Desc
}

func newScraper(parts []*part, log *slog.Logger) *scraper {
	return &scraper{
		parts: parts, log: log,
		success:  describe("ndock_scrape_success", "Whether a part of what is looked at for a scrape is whole.", "part"),
		duration: describe("ndock_scrape_duration_seconds", "How long it took to look at all parts."),
	}
}

// Describe implements prometheus.Collector. What there will be depends on the host.
func (s *scraper) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *scraper) Collect(metrics chan<- prometheus.Metric) {
	for _, metric := range s.collect() {
		metrics <- metric
	}
}

// logChange logs when a part begins to fail, and when it no longer does.
func (s *scraper) logChange(part *part, err error) {
	switch failing := err != nil; {
	case failing && !part.failing:
		s.log.Warn("a scrape is not whole", "part", part.name, "reason", err)
	case !failing && part.failing:
		s.log.Info("scrapes are whole again", "part", part.name)
	}
	part.failing = err != nil
}

// collect ends after answerLimit, whatever the parts do.
func (s *scraper) collect() []prometheus.Metric {
	began := time.Now()
	late, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	ctx, giveUp := context.WithTimeout(late, collectLimit)
	defer giveUp()
	running := make([]<-chan result, len(s.parts))
	for n, part := range s.parts {
		running[n] = part.start(ctx)
	}
	var all []prometheus.Metric
	for n, part := range s.parts {
		found := wait(late, running[n])
		s.logChange(part, found.err)
		all = append(all, found.metrics...)
		all = append(all, gauge(s.success, number(found.err == nil), part.name))
	}
	return append(all, gauge(s.duration, time.Since(began).Seconds()))
}
