package imagecache

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/engine/enginetest"
)

func TestClassify(t *testing.T) {
	for reason, c := range map[string]struct{ code, says string }{
		"bad":                                   {agent.UnusableImage, "bad"},
		"max depth exceeded":                    {agent.UnusableImage, "more layers than"},
		"write /layer: no space left on device": {agent.Failed, "no space left"},
	} {
		if err := classify(reason); agent.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s with %q", reason, err, c.code, c.says)
		}
	}
}

// TestWhoseFaultALoadIs: an image names its files as it likes.
func TestWhoseFaultALoadIs(t *testing.T) {
	for reason, code := range map[string]string{
		"write /usr/lib/x.so: no space left on device":                                                   agent.Failed,
		"Error processing tar file(exit status 1): write /usr/lib/x.so: no space left on device\n":       agent.Failed,
		"Error processing tar file(exit status 1): mkdir /no space left on device/x: not a directory":    agent.UnusableImage,
		"Error processing tar file(exit status 1): symlink a /x: no space left on device/y: file exists": agent.UnusableImage,
		"max depth exceeded": agent.UnusableImage,
		"Error processing tar file(exit status 1): mkdir /max depth exceeded/x: not a directory": agent.UnusableImage,
	} {
		if err := classify(reason); agent.CodeOf(err) != code || strings.Contains(err.Error(), "layers") != (reason == "max depth exceeded") {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}

// TestReservedSpace: what one image will take is no space for another, until that one is done.
func TestReservedSpace(t *testing.T) {
	directory := t.TempDir()
	free, err := freeOn(directory)
	if err != nil {
		t.Fatal(err)
	}
	for what, most := range map[string]space{"bytes": {bytes: free.bytes / 4 * 3}, "files": {files: free.files / 4 * 3}} {
		var r reservations
		release, err := r.reserve(directory, most, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.reserve(directory, most, 0); err == nil || agent.CodeOf(err) != agent.Failed || !strings.Contains(err.Error(), "there is no room for the image on this host") {
			t.Errorf("the same %s were reserved twice: %v", what, err)
		}
		release()
		if _, err := r.reserve(directory, most, 0); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64} {
		var r reservations
		if _, err := r.reserve(directory, space{bytes: n}, 0); err == nil || agent.CodeOf(err) != agent.Failed {
			t.Errorf("%d bytes were reserved: %v", n, err)
		}
	}
}

// TestEmptyFilesTakeSpace: an image of empty files takes space too: their blocks and their inodes.
func TestEmptyFilesTakeSpace(t *testing.T) {
	layer := agenttest.Tar(strings.Repeat("d/", 200)+"a", "", "b", "")
	packed := agenttest.Tar("layer.tar", layer, "config.json", strings.Replace(agenttest.ImageConfig, "[]", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(layer))), 1),
		"manifest.json", `[{"Config":"config.json","Layers":["layer.tar"]}]`)
	cache := New(enginetest.New(), t.TempDir(), config.Default(), agenttest.Quiet())
	l := &loading{Cache: cache, from: Archive{Body: strings.NewReader(packed)}, directory: t.TempDir()}
	if err := l.check(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer l.release()
	const files = 202
	if want := (space{bytes: files*4096 + int64(len(layer)), files: files}); cache.reserved.held != want {
		t.Errorf("reserved %+v, want %+v", cache.reserved.held, want)
	}
}
