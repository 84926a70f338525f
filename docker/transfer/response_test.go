package transfer

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "3600": time.Hour, "99999999999": longestPause, "99999999999999999999999": longestPause,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0, "Fri, 31 Dec 9999 23:59:59 GMT": longestPause, "4294967295": longestPause,
		"1746136938": 0, // docker/hub-feedback 2459
	} {
		if got, ok := RetryAfter(http.Header{"Retry-After": {said}}); got != want || !ok {
			t.Errorf("%q is %s (%v), want %s", said, got, ok, want)
		}
	}
	for _, said := range []string{"", "soon", "-5", "1.5", "7 seconds"} {
		if got, ok := RetryAfter(http.Header{"Retry-After": {said}}); got != 0 || ok {
			t.Errorf("%q is %s", said, got)
		}
	}
	for _, said := range []string{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)} {
		if got, _ := RetryAfter(http.Header{"Retry-After": {said}}); got > time.Hour || got < time.Hour-time.Minute {
			t.Errorf("%q is %s", said, got)
		}
	}
}

func TestIsWebPage(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"text/html": true, "Text/HTML; charset=utf-8": true, "application/json": false, "": false, "text/htmlx": false} {
		if got := IsWebPage(&http.Response{Header: http.Header{"Content-Type": {kind}}}); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	if err := Wait(t.Context(), 0); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
