package deploy

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	dockerregistry "github.com/docker/docker/api/types/registry"

	"ndock/registry"
	"ndock/registry/auth/keystone"
	"ndock/registry/internal/registrytest"
)

const stockImage = "registry.example.com/mirror/registry:3"

func TestDeployStockPullsOnce(t *testing.T) {
	dockerLogin(t, "registry.example.com", "puller", "of-mirrors")
	s := newSite(t)
	s.options.Image, s.options.Binary, s.options.User, s.options.Password = stockImage, "missing", "ci", "secret"
	status := s.deploy()
	if status.Image != stockImage || !slices.Equal(status.Users, []string{"ci"}) || !s.trusts(status) {
		t.Errorf("status is %+v", status)
	}
	if !slices.Contains(s.steps, "0a: Pull complete") || !slices.Contains(s.steps, "Digest: sha256:0") {
		t.Errorf("of the pull it said %v", s.steps)
	}
	who, err := dockerregistry.DecodeAuthConfig(s.engine.pulled[0].RegistryAuth)
	if err != nil || who.Username != "puller" || who.Password != "of-mirrors" {
		t.Errorf("it was pulled as %q, %v", who.Username, err)
	}
	s.deploy()
	if s.engine.made != 1 || len(s.engine.pulled) != 1 || !s.said("nothing to do") {
		t.Errorf("%d containers, %d pulls; it said %v", s.engine.made, len(s.engine.pulled), s.steps)
	}
	made := s.engine.containers[0]
	if made.Config.User != "0:0" || !slices.Equal(made.Config.Cmd, []string{"serve", configDir + "/" + fileConfig}) || !made.HostConfig.ReadonlyRootfs {
		t.Errorf("the container is made with %+v, %+v", made.Config, made.HostConfig)
	}
	if text := fmt.Sprint(s.steps, made.Config, made.HostConfig); strings.Contains(text, "of-mirrors") || strings.Contains(text, "secret") {
		t.Errorf("it shows a secret: %s", text)
	}
}

// The same name of another image is another registry.
func TestDeployStockFollowsTheImage(t *testing.T) {
	s := newSite(t)
	s.options.Image = stockImage
	s.have("sha256:first", "/entrypoint.sh")
	s.deploy()
	s.have("sha256:second", "/entrypoint.sh")
	s.deploy()
	if s.engine.made != 2 || len(s.engine.pulled) != 0 || s.engine.containers[0].Config.Labels[labelImage] != "sha256:second" {
		t.Errorf("%d containers were made, %d images pulled", s.engine.made, len(s.engine.pulled))
	}
}

func TestDeployStockAndBack(t *testing.T) {
	s := newSite(t)
	s.have("sha256:stock", "registry")
	s.options.User, s.options.Password = "ci", "secret"
	s.deploy()
	before := s.config()
	s.options.User, s.options.Password = "", ""
	for _, ref := range []string{stockImage, ""} {
		s.options.Image = ref
		if after := s.deploy(); !slices.Equal(after.Users, []string{"ci"}) || !s.trusts(after) {
			t.Errorf("with image %q it is %+v", ref, after)
		}
		config := s.config()
		if string(config[fileCA]) != string(before[fileCA]) || string(config[fileHtpasswd]) != string(before[fileHtpasswd]) {
			t.Errorf("with image %q, CA or logins are others", ref)
		}
	}
	if s.engine.made != 3 || len(s.engine.images) != 2 {
		t.Errorf("%d containers were made; the engine has %d images", s.engine.made, len(s.engine.images))
	}
}

func TestStockConfiguration(t *testing.T) {
	s := newSite(t)
	s.have("sha256:stock", "registry")
	s.options.Image, s.options.Metrics = stockImage, freeAddress(t)
	s.deploy()
	config := string(s.config()[fileConfig])
	for _, want := range []string{"addr: " + s.options.Metrics, "prometheus:\n            enabled: true", "draintimeout: 25s", "disable: true"} {
		if !strings.Contains(config, want) {
			t.Errorf("the configuration has no %q:\n%s", want, config)
		}
	}
}

func TestStockRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"--keystone and --image exclude each other":      func(o *Options) { o.Keystone = keystone.Options{URL: "https://keystone.example.com/v3"} },
		"--max-blob-size and --image exclude each other": func(o *Options) { o.MaxBlobSize = 1 },
		"--max-uploads and --image exclude each other":   func(o *Options) { o.MaxUploads = 1 },
		`--image "Registry:3" is not the name`:           func(o *Options) { o.Image = "Registry:3" },
		"auth.keystone is not supported by the registry": func(o *Options) {
			o.Config = registrytest.Write(t, []byte("version: 0.1\nstorage: {filesystem: {}}\nauth: {keystone: {url: a}}\n"))
		},
		"use image " + stockImage + ": it has no entrypoint": func(*Options) {},
		"look at image sha256:0000":                          func(o *Options) { o.Image = "sha256:" + strings.Repeat("0", 64) },
	} {
		s := newSite(t)
		s.have("sha256:other", "")
		s.options.Image = stockImage
		change(&s.options)
		s.fails(want)
		if s.engine.made+len(s.engine.pulled) != 0 {
			t.Error("something was made or pulled all the same")
		}
	}
}

func TestStockPullFails(t *testing.T) {
	s := newSite(t)
	s.deploy()
	s.options.Image, s.engine.refuses = stockImage, "manifest unknown"
	_, err := Run(t.Context(), s.host(), s.options)
	registrytest.WantError(t, err, "pull image "+stockImage+": manifest unknown")
	var hinted *registry.Error
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "docker load") {
		t.Errorf("there is no hint in %v", err)
	}
	if status, err := Find(t.Context(), s.host()); err != nil || status.State != Running || s.engine.made != 1 {
		t.Errorf("afterwards it is %+v, %v", status, err)
	}
}

func TestStockFails(t *testing.T) {
	s := newSite(t)
	s.have("sha256:stock", "registry")
	s.options.Image = stockImage
	for log, want := range map[string]string{
		"configuration error: it hurts\nUsage:\n  registry serve\n":            "status 1: configuration error: it hurts",
		"time=1 level=info msg=a\ntime=1 level=fatal msg=\"it hurts\"\nexit\n": `status 1: time=1 level=fatal msg="it hurts"`,
		"panic: it hurts\n\ngoroutine 1 [running]:\nmain.main()\n":             "status 1: panic: it hurts",
	} {
		s.engine.breaks = log
		s.fails(want)
	}
}

// Where a stock registry's container was removed by somebody, no image of ours is there to read its CA with.
func TestRemoveWhatIsLeftOfStock(t *testing.T) {
	s := newSite(t)
	s.have("sha256:stock", "registry")
	s.options.Image = stockImage
	status := s.deploy()
	id := s.engine.containers[0].ID
	s.engine.ContainerStop(t.Context(), id, container.StopOptions{})
	s.engine.ContainerRemove(t.Context(), id, container.RemoveOptions{})
	if err := Remove(t.Context(), s.host(), RemoveOptions{CertsDir: s.options.CertsDir, Report: s}); err != nil {
		t.Fatal(err)
	}
	if s.trusts(status) || len(s.engine.containers) != 0 || len(s.engine.images) != 1 {
		t.Error("the CA is still trusted, a container is left, or the operator's image is gone")
	}
}

// Distribution reads logins again when their file has another time.
func TestFilesAreDated(t *testing.T) {
	archive, err := files{fileHtpasswd: []byte("ci:x\n")}.pack()
	if err != nil {
		t.Fatal(err)
	}
	header, err := tar.NewReader(archive).Next()
	if err != nil || time.Since(header.ModTime) > time.Minute || header.Format != tar.FormatPAX {
		t.Errorf("the file is of %s, %v", header.ModTime, err)
	}
}

func TestParseImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for text, want := range map[string]string{
		"registry":                         "registry:latest",
		"docker.io/library/registry:3":     "registry:3",
		"127.0.0.1:5000/registry:3":        "127.0.0.1:5000/registry:3",
		"example.com/registry:3@" + digest: "example.com/registry@" + digest,
		digest:                             digest,
	} {
		if found, err := parseImage(text); found != want || err != nil {
			t.Errorf("%s is %s, %v", text, found, err)
		}
	}
	for _, text := range []string{"", "a b", "registry:", "https://example.com/registry"} {
		if found, err := parseImage(text); err == nil {
			t.Errorf("%q is %s", text, found)
		}
	}
}

// have puts a stock image into the engine, in the place of one that has its name.
func (s *site) have(id, entrypoint string) {
	s.engine.images = slices.DeleteFunc(s.engine.images, func(i image.Summary) bool { return slices.Contains(i.RepoTags, stockImage) })
	s.engine.images = append(s.engine.images, image.Summary{ID: id, RepoTags: []string{stockImage}, Labels: map[string]string{"entrypoint": entrypoint}})
}

func dockerLogin(t *testing.T, host, user, password string) {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": %q}}}`, host, user, password)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}
