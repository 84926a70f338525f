package openstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
	"ndock/openstack/transport"
)

const dockerID = "sha256:0123456789ab"

// pushOptions are those of an image that has this content.
func pushOptions(content io.Reader) PushOptions {
	return PushOptions{
		Name: "web", Docker: found,
		Open: func(context.Context) (Content, error) { return bytesOf{io.NopCloser(content)}, nil },
	}
}

var found = DockerImage{ID: dockerID, Tags: []string{"web:1", "web:latest"}, Architecture: "x86_64", UnpackedSize: 1<<30 + 1}

// bytesOf is content that turns out to be what it was said to be.
type bytesOf struct{ io.ReadCloser }

func (bytesOf) Found() DockerImage { return found }

// Layers implements Content.
func (bytesOf) Layers() []StoredLayer { return nil }

func wantNothingLeft(t *testing.T, fake *fakecloud.Cloud) {
	t.Helper()
	if left := fake.All(fakecloud.Image); len(left) != 0 {
		t.Errorf("Glance still has %v", left)
	}
}

func TestPushSendsAll(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var progress bytes.Buffer
	options := pushOptions(bytes.NewReader(content))
	options.Progress, options.Properties, options.Protected, options.Visibility = &progress, map[string]string{"os_type": "linux"}, true, "private"
	pushed, err := cloud.PushImage(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Existed || pushed.Status != "active" || pushed.Size != int64(len(content)) {
		t.Errorf("pushed %+v", pushed)
	}
	if !bytes.Equal(fake.Data(pushed.ID), content) {
		t.Error("Glance has other bytes than were sent")
	}
	if !bytes.Equal(progress.Bytes(), content) {
		t.Error("progress was told of other bytes than were sent")
	}
	image := fake.All(fakecloud.Image)[0]
	for property, want := range map[string]any{
		"name": "web", "container_format": "docker", "disk_format": "raw", "min_disk": 2.0, "visibility": "private", "protected": true,
		"hypervisor_type": "docker", "architecture": "x86_64", "docker_image_id": dockerID, "docker_tags": "web:1,web:latest",
		"docker_unpacked_size": "1073741825", "os_type": "linux",
	} {
		if image[property] != want {
			t.Errorf("property %s is %v, want %v", property, image[property], want)
		}
	}
}

func TestPushRefused(t *testing.T) {
	t.Parallel()
	for fault, want := range map[fakecloud.Fault]string{
		fakecloud.UploadTooLarge:    "Image exceeds the storage quota: 0 bytes remaining.",
		fakecloud.UploadFails:       "The server has either erred or is incapable of performing the requested operation.",
		fakecloud.UploadUnavailable: "Permission to write image storage media denied.",
	} {
		for _, size := range []int{0, 100, 100_000, 100_000_000} {
			t.Run(fmt.Sprint(fault, "/", size), func(t *testing.T) {
				t.Parallel()
				fake, cloud := newFake(t)
				breaks(t, fake, fault)
				_, err := cloud.PushImage(t.Context(), pushOptions(io.LimitReader(endless{}, int64(size))))
				openstacktest.WantError(t, err, `upload image "web": `+want+" (req-")
				wantNothingLeft(t, fake)
			})
		}
	}
}

// endless is zeroes.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestPushWhenTheTokenEnds: gophercloud logs in again and repeats the request, with what is left of the body. Half
// an image that Glance takes for a whole one is the worst that can happen.
func TestPushWhenTheTokenEnds(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{10, 10_000, 200_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			breaks(t, fake, fakecloud.UploadTokenEnds)
			_, err := cloud.PushImage(t.Context(), pushOptions(io.LimitReader(endless{}, size)))
			openstacktest.WantError(t, err, `upload image "web": `, "the token ended")
			wantNothingLeft(t, fake)
		})
	}
}

// TestPushRefusedEarly: Glance has answered, and the source is still being read.
func TestPushRefusedEarly(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.UploadFails)
	source := &stuck{closed: make(chan struct{}), read: make(chan struct{})}
	var progress bytes.Buffer
	options := pushOptions(nil)
	options.Progress = &progress
	options.Open = func(context.Context) (Content, error) { return bytesOf{source}, nil }
	_, err := cloud.PushImage(t.Context(), options)
	openstacktest.WantError(t, err, `upload image "web": The server has either erred`)
	<-source.read
	if progress.Len() != 2000 {
		t.Errorf("progress was told of %d bytes, want the 2000 before the answer", progress.Len())
	}
	wantNothingLeft(t, fake)
}

// stuck gives some bytes, and then none until it is closed.
type stuck struct {
	given        bool
	closed, read chan struct{}
}

func (s *stuck) Read(p []byte) (int, error) {
	if !s.given {
		s.given = true
		return 2000, nil
	}
	<-s.closed
	defer close(s.read)
	return len(p), errors.New("read after it was closed")
}

func (s *stuck) Close() error {
	close(s.closed)
	return nil
}

func TestPushFromBrokenSource(t *testing.T) {
	t.Parallel()
	for _, sent := range []int64{0, 1, 10_000, 1_000_000} {
		t.Run(fmt.Sprint(sent), func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			source := io.MultiReader(io.LimitReader(endless{}, sent), iotest.ErrReader(errors.New("the engine has died")))
			_, err := cloud.PushImage(t.Context(), pushOptions(source))
			openstacktest.WantError(t, err, `read image "web": the engine has died`)
			wantNothingLeft(t, fake)
		})
	}
}

func TestPushWithoutSource(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	options := pushOptions(nil)
	options.Open = func(context.Context) (Content, error) { return nil, errors.New("the engine is away") }
	_, err := cloud.PushImage(t.Context(), options)
	openstacktest.WantError(t, err, "the engine is away")
	wantNothingLeft(t, fake)
}

func TestPushInterrupted(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.UploadHangs)
	ctx, interrupt := context.WithCancel(t.Context())
	source := io.MultiReader(io.LimitReader(endless{}, 10_000), readerFunc(func([]byte) (int, error) {
		interrupt()
		return 0, io.EOF
	}))
	_, err := cloud.PushImage(ctx, pushOptions(source))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the interruption", err)
	}
	wantNothingLeft(t, fake)
}

func TestPushInterruptedBeforeGlanceHasAnswered(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	ctx, interrupt := context.WithCancel(t.Context())
	before := cloud.provider.HTTPClient.Transport
	cloud.provider.HTTPClient.Transport = openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		response, err := before.RoundTrip(r)
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/v2/images") {
			interrupt()
			err = errors.Join(err, r.Context().Err())
		}
		return response, err
	})
	if _, err := cloud.PushImage(ctx, pushOptions(strings.NewReader("x"))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the interruption", err)
	}
	wantNothingLeft(t, fake)
}

// TestPushWhereGlanceAsksToWait: a push that nobody interrupts has the time that any request has.
func TestPushWhereGlanceAsksToWait(t *testing.T) {
	t.Parallel()
	_, cloud := newFake(t)
	before, asked, waited := cloud.provider.HTTPClient.Transport, false, time.Duration(0)
	busy := openstacktest.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		if asked || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/v2/images") {
			return before.RoundTrip(r)
		}
		asked = true
		return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"45"}}, Body: http.NoBody, Request: r}, nil
	})
	cloud.provider.HTTPClient.Transport = transport.Backoff{Next: busy, Wait: func(_ context.Context, pause time.Duration) error {
		waited += pause
		return nil
	}}
	if _, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader("x"))); err != nil || waited != 45*time.Second {
		t.Errorf("error %v after %s", err, waited)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPushKeepsItsProperties(t *testing.T) {
	t.Parallel()
	for _, property := range []string{"hypervisor_type", "docker_image_id", "docker_tags", "docker_unpacked_size", "architecture"} {
		fake, cloud := newFake(t)
		options := pushOptions(strings.NewReader("x"))
		options.Properties = map[string]string{property: "mine"}
		_, err := cloud.PushImage(t.Context(), options)
		openstacktest.WantError(t, err, `push image "web": property `+property+" is ndock's own to set")
		wantNothingLeft(t, fake)
	}
}

func TestPushPublicAsTenant(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	options := pushOptions(strings.NewReader("x"))
	options.Visibility = "public"
	_, err := cloud.PushImage(t.Context(), options)
	openstacktest.WantError(t, err, `create image "web": You are not authorized to complete publicize_image action. (req-`)
	openstacktest.WantHint(t, err, "an administrator may")
	wantNothingLeft(t, fake)
}

func TestPushAgain(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	first, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	again := pushOptions(nil)
	again.Name = "other"
	again.Open = func(context.Context) (Content, error) { return nil, errors.New("it is sent again") }
	second, err := cloud.PushImage(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if !second.Existed || second.ID != first.ID || second.Name != "web" {
		t.Errorf("found %+v, want the first, %s", second, first.ID)
	}

	forced := pushOptions(strings.NewReader("x"))
	forced.Force = true
	third, err := cloud.PushImage(t.Context(), forced)
	if err != nil {
		t.Fatal(err)
	}
	if third.Existed || third.ID == first.ID || len(fake.All(fakecloud.Image)) != 2 {
		t.Errorf("forced %+v; Glance has %v", third, fake.All(fakecloud.Image))
	}
}

// TestPushTrustsOnlyItsOwn: what others say of their images proves nothing, and half an image is none.
func TestPushTrustsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	for name, unusual := range map[string]fakecloud.Object{
		"another project's": {"docker_image_id": dockerID, "owner": "somebody"},
		"half sent":         {"docker_image_id": dockerID, "status": "saving"},
		"another image":     {"docker_image_id": "sha256:ffff"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			fake.Add(fakecloud.Image, "web", unusual)
			pushed, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader("x")))
			if err != nil {
				t.Fatal(err)
			}
			if pushed.Existed {
				t.Errorf("recognised %+v", pushed.Image)
			}
		})
	}
}

// TestPushTriesAgain: what passes is tried again, from the start; nothing of the attempts before is left.
func TestPushTriesAgain(t *testing.T) {
	t.Parallel()
	for fault, want := range map[fakecloud.Fault]string{
		fakecloud.UploadTokenEnds: "the token ended",
		fakecloud.UploadFailsOnce: "The server has either erred",
		fakecloud.UploadDamaged:   "it was damaged on the way: in Glance its sha512 is",
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			breaks(t, fake, fault)
			content := bytes.Repeat([]byte("x"), 100_000)
			options := pushOptions(nil)
			options.Retries = 1
			options.Open = func(context.Context) (Content, error) {
				return bytesOf{io.NopCloser(bytes.NewReader(content))}, nil
			}
			var told []error
			options.Retrying = func(err error, _ time.Duration) { told = append(told, err) }
			pushed, err := cloud.PushImage(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			if len(told) != 1 || !strings.Contains(told[0].Error(), want) {
				t.Errorf("told of %v, want %q", told, want)
			}
			if len(fake.All(fakecloud.Image)) != 1 || !bytes.Equal(fake.Data(pushed.ID), content) {
				t.Errorf("Glance has %v", fake.All(fakecloud.Image))
			}
		})
	}
}

// TestPushStalls: a Glance that does not go on is given up, and tried again.
func TestPushStalls(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	cloud, err := openWith(t, openrc(fake, nil), Selection{Agent: "test", Stall: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	breaks(t, fake, fakecloud.UploadHangs)
	options := pushOptions(nil)
	options.Retries = 1
	options.Open = func(context.Context) (Content, error) {
		return bytesOf{io.NopCloser(io.LimitReader(endless{}, 100_000_000))}, nil
	}
	tried := 0
	options.Retrying = func(error, time.Duration) { tried++ }
	_, err = cloud.PushImage(t.Context(), options)
	openstacktest.WantError(t, err, `upload image "web": `, "nothing moved between here and 127.0.0.1:", " for 1s")
	if tried != 1 {
		t.Errorf("tried again %d times, want once", tried)
	}
	wantNothingLeft(t, fake)
}

// TestPushOfTheUnknown: what a stream was is known when it has been sent.
func TestPushOfTheUnknown(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	unknown := func() PushOptions {
		options := pushOptions(strings.NewReader("x"))
		options.Docker, options.Protected = DockerImage{}, true
		return options
	}
	first, err := cloud.PushImage(t.Context(), unknown())
	if err != nil {
		t.Fatal(err)
	}
	image := fake.All(fakecloud.Image)[0]
	for property, want := range map[string]any{
		"min_disk": 2.0, "protected": true, "architecture": "x86_64", "docker_image_id": dockerID,
		"docker_tags": "web:1,web:latest", "docker_unpacked_size": "1073741825",
	} {
		if image[property] != want {
			t.Errorf("property %s is %v, want %v", property, image[property], want)
		}
	}
	again, err := cloud.PushImage(t.Context(), unknown())
	if err != nil || !again.Existed || again.ID != first.ID || len(fake.All(fakecloud.Image)) != 1 {
		t.Errorf("the same again: %+v, %v; Glance has %v", again, err, fake.All(fakecloud.Image))
	}
}

func TestOpenImage(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	pushed, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader("all of it")))
	if err != nil {
		t.Fatal(err)
	}
	read := func() (string, error) {
		body, err := cloud.OpenImage(t.Context(), pushed.ID, 0)
		if err != nil {
			return "", err
		}
		defer body.Close()
		content, err := io.ReadAll(body)
		return string(content), err
	}
	if content, err := read(); err != nil || content != "all of it" {
		t.Errorf("got %q, %v", content, err)
	}
	fake.Damage(pushed.ID)
	_, err = read()
	openstacktest.WantError(t, err, "download image", "it was damaged on the way, or where it is stored")
}

// TestDownloadBreaks: a download that breaks goes on where it was, also where Glance's store knows no parts.
func TestDownloadBreaks(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("all of it ", 100_000)
	for name, c := range map[string]struct {
		faults  []fakecloud.Fault
		retries int
		want    string // in the error
	}{
		"once":       {[]fakecloud.Fault{fakecloud.DownloadBreaks}, 1, ""},
		"no parts":   {[]fakecloud.Fault{fakecloud.DownloadBreaks, fakecloud.DownloadIsWhole}, 1, ""},
		"no retries": {[]fakecloud.Fault{fakecloud.DownloadBreaks}, 0, "unexpected EOF"},
		"other part": {[]fakecloud.Fault{fakecloud.DownloadBreaks, fakecloud.DownloadIsOther}, 1, `sends another part, "bytes 0-`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			pushed, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range c.faults {
				if err := fake.Break(fault); err != nil {
					t.Fatal(err)
				}
			}
			body, err := cloud.OpenImage(t.Context(), pushed.ID, c.retries)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			got, err := io.ReadAll(body)
			if c.want != "" {
				openstacktest.WantError(t, err, "download image", c.want)
			} else if err != nil || string(got) != content {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// interfering fails the first upload when a part of it was read, and has the HTTP client ask for the body again where it
// can.
type interfering struct {
	http.RoundTripper
	answer func(*http.Request) (*http.Response, error)
	done   atomic.Bool
}

func (i *interfering) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/file") || !i.done.CompareAndSwap(false, true) {
		return i.RoundTripper.RoundTrip(r)
	}
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	if r.GetBody != nil {
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = again
		return i.RoundTripper.RoundTrip(r)
	}
	_ = r.Body.Close()
	return i.answer(r)
}

// TestPushBodyTwice: whatever makes an HTTP client ask for an upload's body again, Glance gets all of it or nothing.
func TestPushBodyTwice(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	redirect := func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {r.URL.String()}},
			Body: http.NoBody, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}, nil
	}
	reset := func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNRESET }
	for name, test := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		want   string // error
	}{"redirected": {redirect, "Temporary Redirect"}, "reset": {reset, ""}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			client := &cloud.provider.HTTPClient
			client.Transport = &interfering{RoundTripper: client.Transport, answer: test.answer}
			options := pushOptions(nil)
			options.Open = func(context.Context) (Content, error) { return bytesOf{io.NopCloser(bytes.NewReader(content))}, nil }
			options.Retries = 1
			pushed, err := cloud.PushImage(t.Context(), options)
			if test.want != "" {
				openstacktest.WantError(t, err, test.want)
				wantNothingLeft(t, fake)
				return
			}
			if err != nil || !bytes.Equal(fake.Data(pushed.ID), content) {
				t.Errorf("%+v, %v: Glance has %d bytes, want %d", pushed, err, len(fake.Data(pushed.ID)), len(content))
			}
		})
	}
}

// TestDownloadOfAnOldGlance: also where Glance has an md5 only, what is damaged, ends early or goes on with something else is
// not taken for the image.
func TestDownloadOfAnOldGlance(t *testing.T) {
	t.Parallel()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	const content, checksum = "0123456789", "781e5e245d69b566979b86e28d23f2c7"
	for name, c := range map[string]struct {
		first, rest, ranges string
		want                string // in the error; empty for success
	}{
		"whole":             {content, "", "", ""},
		"damaged":           {"0123x56789", "", "", "its md5 is not what Glance says"},
		"ends early":        {"01234", "56789", "bytes 5-9/10", ""},
		"of something else": {"01234", "5678901234", "bytes 5-14/15", "sends another part"},
		"goes on damaged":   {"01234", "xxxxx", "bytes 5-9/10", "its md5 is not what Glance says"},
		"too much":          {content + "0", "", "", "more than the 10 bytes came"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			glance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !strings.HasSuffix(r.URL.Path, "/file"):
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"id": "1", "status": "active", "size": 10, "checksum": %q}`, checksum)
				case r.Header.Get("Range") == "":
					fmt.Fprint(w, c.first)
				default:
					w.Header().Set("Content-Range", c.ranges)
					w.WriteHeader(http.StatusPartialContent)
					fmt.Fprint(w, c.rest)
				}
			}))
			t.Cleanup(glance.Close)
			cloud, err := logIn(t, openrc(fake, map[string]string{"OS_IMAGE_ENDPOINT_OVERRIDE": glance.URL + "/v2/"}))
			if err != nil {
				t.Fatal(err)
			}
			body, err := cloud.OpenImage(t.Context(), "1", 1)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			got, err := io.ReadAll(body)
			if c.want != "" {
				openstacktest.WantError(t, err, "download image", c.want)
			} else if err != nil || string(got) != content {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
