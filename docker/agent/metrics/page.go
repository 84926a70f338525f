package metrics

import (
	"bytes"
	"compress/gzip"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/sync/singleflight"
)

// keptFor is how long an answer is good for others who ask: however many do, the host is looked at no more often.
const keptFor = 5 * time.Second

// page answers scrapes. It is made before any of it is written, once for all who ask: one who reads slowly holds up nobody.
type page struct {
	from    prometheus.Gatherer
	log     *slog.Logger
	sharing singleflight.Group
	last    content // of the one who makes it
}

// content is what was found at a time, as Prometheus reads it.
type content struct {
	plain, zipped []byte
	at            time.Time
}

var format = expfmt.NewFormat(expfmt.TypeTextPlain)

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	made, _, _ := p.sharing.Do("", func() (any, error) {
		if p.last.at.IsZero() || time.Since(p.last.at) >= keptFor {
			p.last = p.render()
		}
		return p.last, nil
	})
	body := made.(content).plain
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = made.(content).zipped
	}
	_, _ = w.Write(body) // to one who may be gone
}

// render looks at everything. One bad value does not take the others along.
func (p *page) render() content {
	families, err := p.from.Gather()
	if err != nil {
		p.log.Warn("a scrape has bad values", "reason", err)
	}
	var plain, zipped bytes.Buffer
	encoder := expfmt.NewEncoder(&plain, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			p.log.Warn("a metric is left out", "metric", family.GetName(), "reason", err)
		}
	}
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write(plain.Bytes()) // memory takes everything
	_ = zip.Close()
	return content{plain: plain.Bytes(), zipped: zipped.Bytes(), at: time.Now()}
}
