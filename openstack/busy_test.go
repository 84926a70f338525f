package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
	"ndock/openstack/transport"
)

// TestWaitOfTooManyRequests: a service that asks to wait for longer than --timeout has is told of, and that it asks.
func TestWaitOfTooManyRequests(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	asked := busyFor(cloud, "3600")
	err := waiting(50*time.Millisecond).poll(t.Context(), "wait for it", func(ctx context.Context) (string, bool, error) {
		_, err := cloud.Image(ctx, "5a5a5a5a-0000-4000-8000-000000000000")
		return "", err == nil, err
	})
	openstacktest.WantError(t, err, "wait for it: not done after 50ms", "This request was rate-limited; it asks to wait for 1h0m0s")
	if asked.Load() != 1 {
		t.Errorf("it was asked %d times", asked.Load())
	}
	var explained *Error
	if !errors.As(err, &explained) || explained.Hint() != "--timeout gives it longer" {
		t.Errorf("error %v", err)
	}
	_, err = cloud.Image(t.Context(), "5a5a5a5a-0000-4000-8000-000000000000")
	openstacktest.WantError(t, err, "This request was rate-limited; it asks to wait for 1h0m0s")
	ctx, cancel := context.WithCancel(t.Context())
	busyFor(cloud, "30")
	before := cloud.provider.HTTPClient.Transport
	cloud.provider.HTTPClient.Transport = openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) { cancel(); return before.RoundTrip(r) })
	if _, err := cloud.Images(ctx); !errors.Is(err, context.Canceled) { // as by Ctrl-C
		t.Errorf("error %v", err)
	}
}

// busyFor has all services of the cloud say that they have had too many requests.
func busyFor(cloud *Cloud, retryAfter string) *atomic.Int64 {
	var asked atomic.Int64
	waiter := cloud.provider.HTTPClient.Transport.(transport.Backoff)
	waiter.Next = openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		return openstacktest.TooMany(r, retryAfter), nil
	})
	cloud.provider.HTTPClient.Transport = waiter
	return &asked
}

// TestPushToABusyGlance: an upload that was refused for now is sent again when Glance has asked for it, and not at all if
// that is too long.
func TestPushToABusyGlance(t *testing.T) {
	t.Parallel()
	for status, name := range map[int]string{http.StatusTooManyRequests: "429", http.StatusServiceUnavailable: "503"} {
		for said, want := range map[string]time.Duration{"37": 37 * time.Second, "": time.Second, "0": time.Second, "3600": 0} {
			t.Run(name+" "+said, func(t *testing.T) {
				t.Parallel()
				fake, cloud := newFake(t)
				before := cloud.provider.HTTPClient.Transport
				cloud.provider.HTTPClient.Transport = openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodPut {
						return before.RoundTrip(r)
					}
					got := openstacktest.TooMany(r, said)
					got.StatusCode = status
					return got, r.Body.Close()
				})
				ctx, cancel := context.WithCancel(t.Context())
				var told time.Duration
				options := pushOptions(strings.NewReader("content"))
				options.Retries = 3
				options.Retrying = func(_ error, pause time.Duration) { told = pause; cancel() }
				_, err := cloud.PushImage(ctx, options)
				if told != want {
					t.Errorf("it is tried again after %s, want %s", told, want)
				}
				if said == "3600" {
					openstacktest.WantError(t, err, `upload image "web": This request was rate-limited; it asks to wait for 1h0m0s`)
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				wantNothingLeft(t, fake)
			})
		}
	}
}

// TestLoginToABusyKeystone: the answer that stands in the end is Keystone's, and says for how long.
func TestLoginToABusyKeystone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error": {"message": "Too many requests"}}`)
	}))
	t.Cleanup(server.Close)
	_, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL, "OS_USERNAME": "u", "OS_PASSWORD": fakecloud.Password}))
	openstacktest.WantError(t, err, "Too many requests; it asks to wait for 10m0s")
}

// TestTooManyRequests: a service that has had too many says when to come again, in seconds or by a date.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	var refused atomic.Int32
	limited := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused.Add(1) <= 2 {
			w.Header().Set("Retry-After", []string{"0", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}[refused.Load()-1])
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		http.Redirect(w, r, strings.TrimSuffix(fake.URL, "/v3")+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(limited.Close)
	if _, err := logIn(t, openrc(fake, map[string]string{"OS_AUTH_URL": limited.URL + "/v3"})); err != nil {
		t.Errorf("after %d requests: %v", refused.Load(), err)
	}
}

func TestAlwaysTooManyRequests(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error": {"message": "Too many requests"}}`)
	}))
	t.Cleanup(server.Close)
	_, err := logIn(t, variables(map[string]string{"OS_AUTH_URL": server.URL, "OS_USERNAME": "u", "OS_PASSWORD": "x"}))
	openstacktest.WantError(t, err, "Too many requests")
	if asked.Load() != 6 {
		t.Errorf("asked %d times, want 6", asked.Load())
	}
}
