package imagecache

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/config"
	"ndock/docker/agent/diskspace"
	"ndock/docker/archive"
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

// TestEmptyFilesTakeSpace: an image of empty files takes space too: their blocks and their inodes.
func TestEmptyFilesTakeSpace(t *testing.T) {
	layer := agenttest.Tar(strings.Repeat("d/", 200)+"a", "", "b", "")
	packed := agenttest.Tar("layer.tar", layer, "config.json", strings.Replace(agenttest.ImageConfig, "[]", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(layer))), 1),
		"manifest.json", `[{"Config":"config.json","Layers":["layer.tar"]}]`)
	cache := New(enginetest.New(), t.TempDir(), config.Default(), diskspace.New(1<<30), agenttest.Quiet())
	l := &loading{Cache: cache, from: Archive{Body: strings.NewReader(packed)}, directory: t.TempDir()}
	if err := l.check(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer l.release()
	const files = 202
	if want := (diskspace.Space{Bytes: files*archive.BlockSize + int64(len(layer)), Files: files}); cache.space.Held() != want {
		t.Errorf("reserved %+v, want %+v", cache.space.Held(), want)
	}
}
