package transport

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ndock/openstack/internal/openstacktest"
)

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
			got, err := Backoff{
				Next: openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if test.body == nil {
						return openstacktest.TooMany(r, test.said), nil
					}
					if body, err := io.ReadAll(r.Body); string(body) != "{}" || err != nil {
						t.Errorf("%q is sent, %v", body, err)
					}
					return openstacktest.TooMany(r, test.said), nil
				}),
				Wait: func(_ context.Context, pause time.Duration) error { waited = append(waited, pause); return nil },
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
