package enginetest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"ndock/docker"
	"ndock/docker/engine"
	"ndock/docker/engine/enginetest"
)

// tested is all that ndock uses of Docker Engine, the agent and the deployment of a registry.
type tested interface {
	engine.Docker
	ImageImport(ctx context.Context, source image.ImportSource, ref string, options image.ImportOptions) (io.ReadCloser, error)
	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)
}

// contract is what ndock relies on, of any engine.
var contract = map[string]func(t *testing.T, on *bench){
	"daemon": checkDaemon, "events": checkEvents,
	"load": checkLoad, "load-refuses": checkLoadRefuses, "names": checkNames, "list-images": checkImageList, "used-images": checkUsedImages, "forgotten-images": checkForgottenImages,
	"commit": checkCommit, "import": checkImport, "parents": checkParents,
	"create": checkCreate, "list-containers": checkContainerList, "start-stop": checkStartStop, "pause": checkPause, "rename": checkRename,
	"remove": checkRemove, "missing": checkMissing, "terminal": checkTerminal,
	"files": checkFiles, "volumes": checkVolumes, "volume-files": checkVolumeFiles,
}

func testContract(t *testing.T, on tested, program []byte) {
	for name, check := range contract {
		t.Run(name, func(t *testing.T) {
			check(t, newBench(on, program))
		})
	}
}

// TestContract has the fake keep it, in this process and over HTTP.
func TestContract(t *testing.T) {
	t.Run("direct", func(t *testing.T) { testContract(t, newFake(t), []byte("cat")) })
	t.Run("http", func(t *testing.T) {
		server := enginetest.Serve(newFake(t))
		t.Cleanup(server.Close)
		testContract(t, clientOf(t, server.Host), []byte("cat"))
	})
}

// TestContractOfARealEngine wants an engine that can run containers: NDOCK_ENGINE=unix:///var/run/docker.sock.
func TestContractOfARealEngine(t *testing.T) {
	host := os.Getenv("NDOCK_ENGINE")
	if host == "" {
		t.Skip("NDOCK_ENGINE names no Docker Engine to test")
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("read the program that containers run: %v: install busybox-static", err)
	}
	testContract(t, clientOf(t, host), program)
}

func clientOf(t *testing.T, host string) *client.Client {
	t.Helper()
	docker, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	return docker
}

// newFake is a fake whose containers run cat, as the contract's do.
func newFake(t *testing.T) *enginetest.Engine {
	fake := enginetest.New()
	fake.Account, fake.Stats, fake.VolumesDir = fake.Unpack, `{"cpu_stats":{}}`, t.TempDir()
	go func() {
		for {
			select {
			case terminal := <-fake.Attached:
				go cat(fake, terminal)
			case <-t.Context().Done():
				return
			}
		}
	}()
	return fake
}

// cat says what it hears, and the log has it.
func cat(fake *enginetest.Engine, terminal net.Conn) {
	heard := make([]byte, 100)
	for {
		n, err := terminal.Read(heard)
		if err != nil {
			return
		}
		fake.Mu.Lock()
		fake.Logs += string(heard[:n])
		fake.Mu.Unlock()
		if _, err := terminal.Write(heard[:n]); err != nil {
			return
		}
	}
}

// bench is an engine, and what one check makes there.
type bench struct {
	tested
	program []byte
	label   string // of all that is made, and the beginning of its name
	images  int
}

func newBench(on tested, program []byte) *bench {
	return &bench{tested: on, program: program, label: "ndock-contract-" + rand.Text()[:10]}
}

// labelled is the filter that shows what is made here.
func (b *bench) labelled() filters.Args { return filters.NewArgs(filters.Arg("label", b.label)) }

// load loads another image whose containers run cat, and returns its id.
func (b *bench) load(t *testing.T) string {
	t.Helper()
	b.images++
	id, err := docker.LoadImage(t.Context(), b, bytes.NewReader(b.archive(b.images)))
	if err != nil {
		t.Fatal(err)
	}
	b.removeLater(t, id)
	return id
}

// removeLater removes an image at the end of the check, if it is still there.
func (b *bench) removeLater(t *testing.T, id string) {
	t.Cleanup(func() { _, _ = b.ImageRemove(context.Background(), id, image.RemoveOptions{Force: true}) })
}

func (b *bench) archive(n int) []byte {
	layer := enginetest.Tar("busybox", string(b.program))
	config := fmt.Sprintf(`{"architecture":%q,"os":"linux","config":{"Cmd":["/busybox","cat"],"Labels":{%q:"%d"}},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`,
		runtime.GOARCH, b.label, n, sha256.Sum256(layer))
	return enginetest.Tar("layer.tar", string(layer), "config.json", config, "manifest.json", `[{"Config":"config.json","Layers":["layer.tar"]}]`)
}

// create makes a container of an image, which has a terminal and no network.
func (b *bench) create(t *testing.T, name, image string) string {
	t.Helper()
	made, err := b.tryCreate(t, name, image, &container.HostConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (b *bench) tryCreate(t *testing.T, name, image string, host *container.HostConfig) (string, error) {
	host.NetworkMode = "none"
	config := &container.Config{Image: image, Tty: true, OpenStdin: true, Labels: map[string]string{b.label: "container", "own": "yes"}}
	made, err := b.ContainerCreate(t.Context(), config, host, nil, nil, b.named(name))
	if err == nil {
		t.Cleanup(func() { _ = b.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}) }) // it may be gone
	}
	return made.ID, err
}

// named is the name of a container or volume here.
func (b *bench) named(name string) string { return b.label + "-" + name }

// tag is a name of an image here.
func (b *bench) tag(name string) string { return "ndock/contract:" + b.label + "-" + name }

// want checks that a call went as wanted: nil for well, or what kind of error it is to be.
func want(t *testing.T, what string, err error, kind func(error) bool) {
	t.Helper()
	if kind == nil && err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if kind != nil && (err == nil || !kind(err)) {
		t.Errorf("%s: got the error %v, which is not of the kind that is wanted", what, err)
	}
}

// must is want for what all that follows needs.
func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func anyError(err error) bool { return err != nil }
