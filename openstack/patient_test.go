package openstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ndock/openstack/fakecloud"
)

// transport is a function that answers.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// tooMany answers that there were too many requests.
func tooMany(r *http.Request, retryAfter string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {retryAfter}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"overLimit": {"message": "This request was rate-limited."}}`)),
	}
}

// TestPauses: a service is waited for as it asks, a minute in all, or until there is no time any more; then its answer
// stands. What cannot be sent again is not.
func TestPauses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		said     string
		deadline bool
		body     io.Reader
		want     []time.Duration
	}{
		"as it asks":                  {said: "25", want: []time.Duration{25 * time.Second, 25 * time.Second}},
		"more than a minute":          {said: "61"},
		"more than there is":          {said: "99999999999999999999"},
		"it does not say":             {want: []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}},
		"with a deadline":             {said: "3000", deadline: true, want: slices.Repeat([]time.Duration{3000 * time.Second}, 5)},
		"more than until a deadline":  {said: "3601", deadline: true},
		"a body":                      {said: "50", body: strings.NewReader("{}"), want: []time.Duration{50 * time.Second}},
		"a body that can be had once": {said: "0", body: io.MultiReader(strings.NewReader("{}"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if test.deadline {
				limited, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				ctx = limited
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://nova/servers", test.body)
			if err != nil {
				t.Fatal(err)
			}
			var waited []time.Duration
			got, err := patient{
				next: transport(func(r *http.Request) (*http.Response, error) {
					if test.body == nil {
						return tooMany(r, test.said), nil
					}
					if body, err := io.ReadAll(r.Body); string(body) != "{}" || err != nil {
						t.Errorf("%q is sent, %v", body, err)
					}
					return tooMany(r, test.said), nil
				}),
				wait: func(_ context.Context, pause time.Duration) error { waited = append(waited, pause); return nil },
			}.RoundTrip(request)
			if err != nil || got.StatusCode != http.StatusTooManyRequests || !slices.Equal(waited, test.want) {
				t.Errorf("waited %v, want %v (%v)", waited, test.want, err)
			}
			if body, err := io.ReadAll(got.Body); len(body) == 0 || err != nil {
				t.Errorf("the answer has %q, %v", body, err)
			}
		})
	}
}

// TestWaitOfTooManyRequests: a service that asks to wait for longer than --timeout has is told of, and that it asks.
func TestWaitOfTooManyRequests(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	asked := busyFor(cloud, "3600")
	err := waiting(50*time.Millisecond).poll(t.Context(), "wait for it", func(ctx context.Context) (string, bool, error) {
		_, err := cloud.Image(ctx, "5a5a5a5a-0000-4000-8000-000000000000")
		return "", err == nil, err
	})
	wantError(t, err, "wait for it: not done after 50ms", "This request was rate-limited; it asks to wait for 1h0m0s")
	if asked.Load() != 1 {
		t.Errorf("it was asked %d times", asked.Load())
	}
	var explained *Error
	if !errors.As(err, &explained) || explained.Hint() != "--timeout gives it longer" {
		t.Errorf("error %v", err)
	}
	_, err = cloud.Image(t.Context(), "5a5a5a5a-0000-4000-8000-000000000000")
	wantError(t, err, "This request was rate-limited; it asks to wait for 1h0m0s")
	ctx, cancel := context.WithCancel(t.Context())
	busyFor(cloud, "30")
	before := cloud.provider.HTTPClient.Transport
	cloud.provider.HTTPClient.Transport = transport(func(r *http.Request) (*http.Response, error) { cancel(); return before.RoundTrip(r) })
	if _, err := cloud.Images(ctx); !errors.Is(err, context.Canceled) { // as by Ctrl-C
		t.Errorf("error %v", err)
	}
}

// busyFor has all services of the cloud say that they have had too many requests.
func busyFor(cloud *Cloud, retryAfter string) *atomic.Int64 {
	var asked atomic.Int64
	waiter := cloud.provider.HTTPClient.Transport.(patient)
	waiter.next = transport(func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		return tooMany(r, retryAfter), nil
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
				cloud.provider.HTTPClient.Transport = transport(func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodPut {
						return before.RoundTrip(r)
					}
					got := tooMany(r, said)
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
					wantError(t, err, `upload image "web": This request was rate-limited; it asks to wait for 1h0m0s`)
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
	wantError(t, err, "Too many requests; it asks to wait for 10m0s")
}
