package registry_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	"ndock/commands"
	"ndock/registry/client"
)

const pushers = 50

// TestMain makes this program ndock where a test starts it by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ndock": func() { os.Exit(commands.Main()) }})
}

// TestRegistryIsKilled kills a registry, again and again, while many push and garbage is collected. Each image whose
// push had succeeded must be there afterwards, whole. NDOCK_LONG=1 goes on for five minutes; NDOCK_SEED=N repeats a
// run's contents.
func TestRegistryIsKilled(t *testing.T) {
	k := newKilled(t, t.TempDir())
	until := time.Now().Add(15 * time.Second)
	if os.Getenv("NDOCK_LONG") != "" {
		until = time.Now().Add(5 * time.Minute)
	}
	patience := until.Add(3 * time.Minute) // on a machine where others are at work
	rounds := 0
	for ; time.Now().Before(until) || !k.proven() && time.Now().Before(patience); rounds++ {
		r := k.serve()
		k.checkSome(r)
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		for range pushers {
			busy.Go(func() { k.push(ctx, r) })
		}
		busy.Go(func() { k.collect(ctx, r) })
		longest := 4 * time.Second
		if time.Now().After(until) {
			longest = 20 * time.Second // others leave it little time
		}
		time.Sleep(k.between(500*time.Millisecond, longest)) // the moment at which it is killed
		r.kill(t)
		cancel()
		busy.Wait()
	}
	r := k.serve()
	defer r.kill(t)
	k.checkAll(r)
	k.run(r, "gc", "--control", r.control, "--grace", "0", "--untagged")
	k.checkAll(r)
	t.Logf("%d images in %d rounds; %d collections ended by themselves", len(k.acknowledged), rounds, k.collected)
	if !k.proven() {
		t.Error("nothing came to its end: this has proven nothing")
	}
}

// TestRegistryLosesPower has the registry on a disk of its own, and looks at what had come to that disk by the moment
// at which a push was acknowledged.
func TestRegistryLosesPower(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a disk takes root")
	}
	k := newKilled(t, "")
	disk := filepath.Join(t.TempDir(), "disk")
	must(t, "truncate", "--size=64M", disk)
	if out, err := exec.Command("mkfs.ext4", "-q", disk).CombinedOutput(); err != nil {
		t.Skipf("no file system can be made here: %v: %s", err, out)
	}
	k.dir = mountDisk(t, disk)
	r := k.serve()
	for range 10 {
		k.pushOne(t.Context(), r)
	}
	canary := filepath.Join(k.dir, "canary")
	if err := os.WriteFile(canary, []byte("never synced"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "cp", "--sparse=always", disk, disk+"-after")
	r.kill(t)
	k.dir = mountDisk(t, disk+"-after")
	if _, err := os.Stat(filepath.Join(k.dir, "canary")); err == nil {
		t.Error("what was never synced is there: this has proven nothing")
	}
	r = k.serve()
	defer r.kill(t)
	k.checkAll(r)
	if len(k.acknowledged) == 0 {
		t.Error("nothing was pushed: this has proven nothing")
	}
}

// mountDisk mounts a file. The file system writes nothing by itself for a while, but what it is told to sync.
func mountDisk(t *testing.T, disk string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop,commit=600", disk, dir).CombinedOutput(); err != nil {
		t.Skipf("no disk can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() { must(t, "umount", dir) })
	return dir
}

func must(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// killed is what pushers know of a registry that is killed.
type killed struct {
	*testing.T
	dir string

	lock         sync.Mutex
	source       *rand.Rand
	number       int
	acknowledged map[string]v1.Hash // by REPOSITORY:TAG
	layers       []v1.Layer         // of images before, to be pushed again
	collected    int
}

func newKilled(t *testing.T, dir string) *killed {
	t.Helper()
	seed := time.Now().UnixNano()
	if given, err := strconv.ParseInt(os.Getenv("NDOCK_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("NDOCK_SEED=%d", seed)
	return &killed{T: t, dir: dir, source: rand.New(rand.NewSource(seed)), acknowledged: map[string]v1.Hash{}}
}

// proven reports whether an image was pushed and garbage collected. It is asked when no pusher runs.
func (k *killed) proven() bool { return len(k.acknowledged) > 0 && k.collected > 0 }

// serving is a registry's process.
type serving struct {
	command *exec.Cmd
	host    string
	control string
}

func (k *killed) serve() *serving {
	k.Helper()
	r := &serving{control: filepath.Join(k.TempDir(), "control")}
	r.command = exec.Command("ndock", "registry", "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(k.dir, "data"), "--control", r.control)
	said, err := r.command.StderrPipe()
	if err == nil {
		err = r.command.Start()
	}
	if err != nil {
		k.Fatal(err)
	}
	lines := bufio.NewReader(said)
	first, _ := lines.ReadString('\n')
	host, ok := strings.CutPrefix(strings.TrimSpace(first), "serving a registry on http://")
	if !ok {
		k.Fatalf("the registry said %q", first)
	}
	go io.Copy(io.Discard, lines)
	r.host = host
	return r
}

func (r *serving) kill(t *testing.T) {
	t.Helper()
	if err := r.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.command.Wait() // which says that it was killed
}

func (k *killed) between(from, to time.Duration) time.Duration {
	k.lock.Lock()
	defer k.lock.Unlock()
	return from + time.Duration(k.source.Int63n(int64(to-from)))
}

func (k *killed) push(ctx context.Context, r *serving) {
	for ctx.Err() == nil && k.pushOne(ctx, r) {
	}
}

// pushOne pushes an image and remembers it once that has succeeded. Those of one repository are deleted again.
func (k *killed) pushOne(ctx context.Context, r *serving) bool {
	reference, image := k.next()
	ref := k.parse(r, reference)
	retries := remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Steps: 20}) // while garbage is collected
	if err := remote.Write(ref, image, remote.WithContext(ctx), retries); err != nil {
		return !strings.Contains(err.Error(), "connect: connection refused")
	}
	digest, err := image.Digest()
	if err != nil {
		k.Error(err)
	}
	if strings.HasPrefix(reference, "site/app0:") { // of which garbage is made
		return remote.Delete(ref, remote.WithContext(ctx), retries) == nil || ctx.Err() == nil
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	k.acknowledged[reference] = digest
	return true
}

// next is an image of random layers, of which some were in earlier ones.
func (k *killed) next() (string, v1.Image) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.number++
	image := empty.Image
	for range 1 + k.source.Intn(3) {
		layer := k.layer()
		var err error
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			k.Error(err)
		}
	}
	return fmt.Sprintf("site/app%d:%d", k.source.Intn(5), k.number), image
}

func (k *killed) layer() v1.Layer {
	if len(k.layers) > 0 && k.source.Intn(3) == 0 {
		return k.layers[k.source.Intn(len(k.layers))]
	}
	layer, err := random.Layer(1+k.source.Int63n(1<<16), types.DockerLayer, random.WithSource(k.source))
	if err != nil {
		k.Error(err)
	}
	k.layers = append(k.layers, layer)
	return layer
}

// collect collects now and then, until the registry is killed. Little is too young, so that pushes may fail, but not be
// lost.
func (k *killed) collect(ctx context.Context, r *serving) {
	for ctx.Err() == nil {
		time.Sleep(k.between(500*time.Millisecond, 2*time.Second))
		err := exec.CommandContext(ctx, "ndock", "registry", "gc", "--control", r.control, "--grace", "1s", "--untagged").Run()
		if err == nil {
			k.collected++
		}
	}
}

func (k *killed) run(r *serving, arguments ...string) {
	k.Helper()
	must(k.T, append([]string{"ndock", "registry"}, arguments...)...)
}

func (k *killed) parse(r *serving, reference string) name.Reference {
	ref, err := name.ParseReference(r.host+"/"+reference, name.Insecure)
	if err != nil {
		k.Error(err)
	}
	return ref
}

// checkSome pulls some images, and lists all: what is half there is in nobody's way.
func (k *killed) checkSome(r *serving) {
	k.Helper()
	all := slices.Sorted(maps.Keys(k.acknowledged))
	k.source.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	k.check(r, all[:min(len(all), 50)])
	listed, err := client.Registry{Address: r.host, PlainHTTP: true}.List(k.Context(), "")
	if err != nil || len(listed) < len(k.acknowledged) {
		k.Fatalf("%d of %d images are listed (%v)", len(listed), len(k.acknowledged), err)
	}
}

func (k *killed) checkAll(r *serving) {
	k.Helper()
	k.check(r, slices.Collect(maps.Keys(k.acknowledged)))
}

func (k *killed) check(r *serving, references []string) {
	k.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for _, reference := range references {
		group.Go(func() error {
			image, err := remote.Image(k.parse(r, reference))
			if err == nil {
				err = validate.Image(image)
			}
			if err != nil {
				return fmt.Errorf("%s was acknowledged: %w", reference, err)
			}
			if digest, err := image.Digest(); err != nil || digest != k.acknowledged[reference] {
				return fmt.Errorf("%s is another image: %s (%v)", reference, digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		k.Fatal(err)
	}
}
