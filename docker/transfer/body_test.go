package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

const content = "0123456789"

// breaksAfter is a body that ends early, as one whose connection breaks.
func breaksAfter(text string, err error) io.ReadCloser {
	return io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(err)))
}

func restFrom(_ context.Context, from int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(content[from:])), nil
}

// TestBody: what ends early, however it does, is continued; what does not end has an end, and no failure is taken for one.
func TestBody(t *testing.T) {
	t.Parallel()
	away := &url.Error{Op: "Get", URL: "http://s/blob", Err: io.EOF}
	for name, c := range map[string]struct {
		first   io.ReadCloser
		rest    func(context.Context, int64) (io.ReadCloser, error)
		retries int
		want    string // in the error; empty for success
	}{
		"whole":           {breaksAfter(content, io.EOF), nil, 1, ""},
		"broken":          {breaksAfter("01234", io.ErrUnexpectedEOF), restFrom, 1, ""},
		"ends early":      {breaksAfter("01234", io.EOF), restFrom, 1, ""},
		"no retries":      {breaksAfter("01234", io.EOF), nil, 0, "after 5 of 10 bytes: unexpected EOF"},
		"nobody answers":  {breaksAfter("01234", io.EOF), func(context.Context, int64) (io.ReadCloser, error) { return nil, away }, 1, `after 5 of 10 bytes: Get "http://s/blob": EOF`},
		"nobody any more": {breaksAfter("01234", away), nil, 0, `after 5 of 10 bytes: Get "http://s/blob": EOF`},
		"too much":        {breaksAfter(content+"0", io.EOF), nil, 1, "more than the 10 bytes"},
		"rest too much":   {breaksAfter("01234", io.EOF), func(context.Context, int64) (io.ReadCloser, error) { return breaksAfter(content, nil), nil }, 1, "more than the 10 bytes"},
	} {
		body := NewBody(t.Context(), c.first, int64(len(content)), c.retries, c.rest)
		got, err := io.ReadAll(body)
		if c.want == "" && (err != nil || string(got) != content) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, io.EOF) || len(got) > len(content)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestBodyWithoutEnd: no more is read of a body than there is.
func TestBodyWithoutEnd(t *testing.T) {
	t.Parallel()
	body := NewBody(t.Context(), io.NopCloser(zeros{}), 10, 0, nil)
	for range 2 {
		if n, err := io.Copy(io.Discard, body); err == nil || n > 10 {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestBodyClosed: who does not read any more does not wait for another attempt, nor for an answer.
func TestBodyClosed(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]func(context.Context, int64) (io.ReadCloser, error){
		"in a pause": func(context.Context, int64) (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF },
		"in a request": func(ctx context.Context, _ int64) (io.ReadCloser, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			body := NewBody(t.Context(), breaksAfter("01234", io.ErrUnexpectedEOF), 10, 1<<20, rest)
			ended := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(body)
				ended <- err
			}()
			synctest.Wait()
			if err := body.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%s: error %v", name, err)
				}
			default:
				t.Errorf("%s: it is still waited for", name)
				<-ended
			}
		})
	}
}

// TestRest: no part but the rest is taken for it.
func TestRest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		ranges string
		length int64
		final  bool
		want   string // empty for an error
	}{
		"the rest":               {206, "bytes 5-9/10", 5, false, "56789"},
		"of a size not told":     {206, "bytes 5-9/*", 5, false, "56789"},
		"from elsewhere":         {206, "bytes 4-9/10", 6, true, ""},
		"of something else":      {206, "bytes 5-10/11", 6, true, ""},
		"nothing said":           {206, "", 5, true, ""},
		"all":                    {200, "", 10, false, "56789"},
		"all, of a size unknown": {200, "", -1, false, "56789"},
		"all of something else":  {200, "", 11, true, ""},
		"refused":                {403, "", 0, true, ""},
		"busy":                   {503, "", 0, false, ""},
	} {
		text := content
		if c.status == http.StatusPartialContent {
			text = content[5:]
		}
		answer := &http.Response{
			StatusCode: c.status, Header: http.Header{"Content-Range": {c.ranges}}, ContentLength: c.length,
			Body: io.NopCloser(strings.NewReader(text)), Request: &http.Request{URL: &url.URL{Host: "s"}},
		}
		got := ""
		body, err := Rest(answer, 5, 10)
		if err == nil {
			all, _ := io.ReadAll(body)
			got = string(all)
		}
		if got != c.want || errors.Is(err, ErrNoRest) != c.final || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
