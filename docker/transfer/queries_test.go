package transfer

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
)

func TestWithoutQueries(t *testing.T) {
	t.Parallel()
	cause := errors.New("broken")
	linked := &url.Error{Op: "Get", URL: "http://s/blob?sig=secret", Err: cause}
	for want, err := range map[string]error{
		`Get "http://s/blob": broken`:                       linked,
		`read it: Get "http://s/blob": broken`:              fmt.Errorf("read it: %w", linked),
		`Patch "http://r/1": Get "http://s/blob": broken`:   &url.Error{Op: "Patch", URL: "http://r/1?_state=secret&n=1", Err: linked},
		`Get "http://s/ab": broken`:                         &url.Error{Op: "Get", URL: `http://s/ab?q="secret"&sig=secret`, Err: cause},
		`Get "http://s/a": broken`:                          &url.Error{Op: "Get", URL: "http://s/a?q=ü&sig=secret", Err: cause},
		`failed to parse Location header "/v2/%zz": broken`: fmt.Errorf("failed to parse Location header %q: %w", "/v2/%zz?sig=secret", cause),
		"first\nsecond (http://s/a): broken":                fmt.Errorf("first\nsecond (%s): %w", "http://s/a?sig=secret", cause),
		"moved to https://s/a, another host: broken":        fmt.Errorf("moved to https://s/a?sig=secret, another host: %w", cause),
		"is it there? that is not known: broken":            fmt.Errorf("is it there? that is not known: %w", cause),
		"broken\n" + `Get "http://s/blob": broken`:          errors.Join(cause, linked),
	} {
		got := WithoutQueries(err)
		if got.Error() != want || !errors.Is(got, cause) {
			t.Errorf("%v is %v, want %s", err, got, want)
		}
	}
	if WithoutQueries(nil) != nil {
		t.Error("there is an error where there was none")
	}
}
