package serve

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/sirupsen/logrus"
)

// accessLog logs a line for each request, and gives the request an id in X-Request-Id, unless the client has set one.
// It leaves out query strings, because they have upload tokens in them.
func accessLog(prefix string, next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, user, id := r.URL.Path, "-", requestID(r)
		if name, _, ok := r.BasicAuth(); ok {
			user = name
		}
		w.Header().Set("X-Request-Id", id)
		m := httpsnoop.CaptureMetrics(next, w, r)
		attrs := []any{
			"method", r.Method, "path", path, "status", m.Code, "bytes", m.Written,
			"time", m.Duration.Round(time.Millisecond), "from", r.RemoteAddr, "user", user, "id", id,
		}
		log.Info("request", append(attrs, parseRoute(prefix, path).attrs()...)...)
	})
}

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func requestID(r *http.Request) string {
	if given := r.Header.Get("X-Request-Id"); requestIDPattern.MatchString(given) {
		return given
	}
	return rand.Text()
}

// logBridge hands what distribution logs to ndock's log.
type logBridge struct{ log *slog.Logger }

// redirectLog installs a bridge in logrus' standard logger, the only one that distribution uses. So there is one log in
// a process, that of the latest registry.
func redirectLog(log *slog.Logger) {
	level := logrus.WarnLevel
	if log.Enabled(context.Background(), slog.LevelDebug) {
		level = logrus.DebugLevel
	}
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(level)
	logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	logrus.AddHook(logBridge{log})
}

// Levels implements logrus.Hook.
func (logBridge) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (b logBridge) Fire(e *logrus.Entry) error {
	var attrs []any
	for _, key := range []string{"err.code", "err.message", "err.detail", "vars.name", "http.request.uri"} {
		if value, ok := e.Data[key]; ok {
			if uri, ok := value.(string); ok && key == "http.request.uri" {
				value, _, _ = strings.Cut(uri, "?")
			}
			attrs = append(attrs, key, value)
		}
	}
	b.log.Log(context.Background(), b.level(e), e.Message, attrs...)
	return nil
}

// level returns the level of an entry; debug for failures that are the client's fault, which are in the access log.
func (logBridge) level(e *logrus.Entry) slog.Level {
	status, _ := e.Data["http.response.status"].(int)
	_, request := e.Data["http.request.id"]
	switch {
	case e.Level >= logrus.InfoLevel, status >= 400 && status < 500, request && e.Level == logrus.WarnLevel:
		return slog.LevelDebug
	case e.Level == logrus.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}
