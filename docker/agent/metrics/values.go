package metrics

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func gauge(of *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return valueOf(of, prometheus.GaugeValue, value, labels)
}

func counter(of *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return valueOf(of, prometheus.CounterValue, value, labels)
}

func valueOf(of *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) prometheus.Metric {
	metric, err := prometheus.NewConstMetric(of, kind, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(of, err) // which is left out
	}
	return metric
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// textLimit is the most bytes of a label. Nova's names have 255 characters at most, which others may have written.
const textLimit = 128

// text makes a label of words that may be a tenant's: valid UTF-8 of bounded length, without control characters.
func text(words string) string {
	if len(words) > textLimit {
		end := textLimit
		for end > textLimit-utf8.UTFMax && !utf8.RuneStart(words[end]) {
			end--
		}
		words = words[:end]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(words, string(utf8.RuneError)))
}
