package commands

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"ndock/openstack/fakecloud"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/serve"
)

// serveGlance serves a registry whose images are in a fake cloud. It returns the beginning of the names of the project's
// repositories.
func serveGlance(t *testing.T) (*fakecloud.Cloud, string) {
	t.Helper()
	fake := fakecloud.New()
	t.Cleanup(fake.Close)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	at, ended := make(chan string, 1), make(chan error, 1)
	ctx, end := context.WithCancel(context.Background())
	go func() {
		ended <- serve.Serve(ctx, config.Options{
			Listen: "127.0.0.1:0", Glance: config.GlanceOptions{Used: true}, OpenGlance: openGlance, Keystone: keystone.Options{URL: fake.URL}, Log: log, Listening: func(_, url string) { at <- url },
		})
	}()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case url := <-at:
		return fake, strings.TrimPrefix(url, "http://") + "/" + fakecloud.ProjectID + "/"
	case err := <-ended:
		t.Fatal(err)
	}
	return nil, ""
}

func demo() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "demo", Password: fakecloud.Password})
}

func tagOf(t *testing.T, text string) name.Reference {
	t.Helper()
	tag, err := name.ParseReference(text, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func randomImage(t *testing.T, layers int64) v1.Image {
	t.Helper()
	image, err := random.Image(2<<20, layers)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestPushToGlance: a client pushes and pulls images and indexes, and they stand in Glance as others do.
func TestPushToGlance(t *testing.T) {
	t.Parallel()
	fake, prefix := serveGlance(t)
	tag, first, second := tagOf(t, prefix+"web:1"), randomImage(t, 2), randomImage(t, 2)
	for _, image := range []v1.Image{first, first, second} {
		if err := remote.Write(tag, image, demo()); err != nil {
			t.Fatal(err)
		}
		pulled, err := remote.Image(tag, demo())
		if err != nil {
			t.Fatal(err)
		}
		want, _ := image.Digest() // of one that is in memory
		if got, err := pulled.Digest(); err != nil || got != want || validate.Image(pulled) != nil {
			t.Errorf("pulled %s, %v, %v, want %s", got, err, validate.Image(pulled), want)
		}
	}
	index, err := random.Index(1000, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tagOf(t, prefix+"multi"), index, demo()); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(tagOf(t, prefix+"multi"), demo())
	if err != nil || validate.Index(pulled) != nil {
		t.Errorf("pulled %v, %v", err, validate.Index(pulled))
	}
	var shown []string
	for _, image := range fake.All(fakecloud.Image) {
		if image["os_hidden"] == false {
			shown = append(shown, image["name"].(string))
		}
	}
	if slices.Sort(shown); !slices.Equal(shown, []string{"multi", "web@1"}) {
		t.Errorf("shown: %v", shown)
	}
}

// TestGlanceRefusesPush: a client is told what Glance says.
func TestGlanceRefusesPush(t *testing.T) {
	t.Parallel()
	for fault, want := range map[fakecloud.Fault]struct {
		status int
		words  string
	}{
		fakecloud.UploadTooLarge: {http.StatusForbidden, "Image exceeds the storage quota"},
		fakecloud.GlanceAway:     {http.StatusServiceUnavailable, "503 Service Unavailable"}, // of HEAD, which has no words,
	} {
		fake, prefix := serveGlance(t)
		if err := fake.Break(fault); err != nil {
			t.Fatal(err)
		}
		err := remote.Write(tagOf(t, prefix+"web:1"), randomImage(t, 1), demo(), remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes())
		var refused *transport.Error
		if !errors.As(err, &refused) || refused.StatusCode != want.status || !strings.Contains(err.Error(), want.words) {
			t.Errorf("%s: error %v", fault, err)
		}
		if left := fake.All(fakecloud.Image); len(left) != 0 {
			t.Errorf("%s: left %v", fault, left)
		}
	}
}
