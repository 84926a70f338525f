package commands

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"ndock/docker/image"
)

// TestSharedLayersAreSentOnce: of images that are pushed together, each asks for its layers before any of them is there.
func TestSharedLayersAreSentOnce(t *testing.T) {
	t.Parallel()
	const name = digest.Digest("sha256:a layer")
	inspected := func() (image.StoredLayer, error) { return image.StoredLayer{}, nil }
	for kind, failed := range map[string]error{"it is sent": nil, "it fails": errors.New("the quota is exceeded")} {
		sending := &sentLayers{all: map[digest.Digest]*sentLayer{}}
		first, mine := sending.begin(name)
		if !mine {
			t.Fatal("nobody sends it yet")
		}
		second, mine := sending.begin(name)
		if mine {
			t.Errorf("%s: it would be sent twice at once", kind)
		}
		if _, mine := sending.begin(""); !mine {
			t.Errorf("%s: a layer without a digest is taken for another", kind)
		}
		content := strings.NewReader("the layer")
		got := make(chan error)
		go func() {
			stored, err := second.wait(t.Context(), content, inspected)
			if err == nil && stored.Image != "an image" {
				err = errors.New("got another: " + stored.Image)
			}
			got <- err
		}()
		first.stored.Image, first.err = "an image", failed
		sending.end(name, first)
		if err := <-got; (err == nil) != (failed == nil) || failed != nil && !strings.Contains(err.Error(), failed.Error()) {
			t.Errorf("%s: %v, want %v", kind, err, failed)
		}
		if rest, err := io.ReadAll(content); err != nil || len(rest) > 0 {
			t.Errorf("%s: %q was not read, %v", kind, rest, err)
		}
		if _, mine := sending.begin(name); mine != (failed != nil) {
			t.Errorf("%s: the next sends it: %t", kind, mine)
		}
	}
}

// TestLayersThatAreGoneAreSentAgain: a collector has removed one, and the push begins anew.
func TestLayersThatAreGoneAreSentAgain(t *testing.T) {
	t.Parallel()
	const name = digest.Digest("sha256:a layer")
	sending := &sentLayers{all: map[digest.Digest]*sentLayer{}}
	layer, _ := sending.begin(name)
	sending.forget(name) // it is on its way
	if _, mine := sending.begin(name); mine {
		t.Error("one that is sent is forgotten")
	}
	sending.end(name, layer)
	sending.forget(name)
	if _, mine := sending.begin(name); !mine {
		t.Error("one that is gone is not sent again")
	}
}
