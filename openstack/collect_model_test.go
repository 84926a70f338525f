package openstack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"ndock/openstack/fakecloud"
)

// modelSeeds is how many orders of events are tried; COLLECT_SEEDS has another number.
const modelSeeds = 300

// TestCollectorModel lets up to two pushes, by the command or through a registry, two collectors and a user who deletes images work on one project, a request at a time,
// in orders that a seed gives. Each may be killed at each request, before Glance has it or after; the clock jumps. No image
// that is shown ever lacks a layer, a tag that was pushed is never lost, and in the end no layer is left that no image needs. 'go test -run
// TestCollectorModel/17$' repeats one order.
func TestCollectorModel(t *testing.T) {
	t.Parallel()
	seeds := modelSeeds
	if text := os.Getenv("COLLECT_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	var total events
	ran := 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			total.add(runModel(t, uint64(seed)))
			ran++
		})
	}
	if ran >= modelSeeds && slices.Contains([]int{total.pushed, total.stored, total.refused, total.condemned, total.deleted, total.killed}, 0) {
		t.Errorf("the model has not met everything: %+v", total)
	}
	t.Logf("%+v", total)
}

// events counts what happened.
type events struct{ pushed, stored, refused, condemned, deleted, killed int }

func (e *events) add(other events) {
	e.pushed += other.pushed
	e.stored += other.stored
	e.refused += other.refused
	e.condemned += other.condemned
	e.deleted += other.deleted
	e.killed += other.killed
}

// model is a project, and those who work on it. One at a time runs, until its next request.
type model struct {
	events
	t    *testing.T
	fake *fakecloud.Cloud
	rand *rand.Rand
	log  []string
	age  time.Duration

	acknowledged map[string]bool // images of pushes that have succeeded
	tidied       bool            // there is a user who deletes images, and hides them
}

func runModel(t *testing.T, seed uint64) events {
	fake := fakecloud.New()
	defer fake.Close()
	m := newModel(t, fake, seed)
	one, two := digestOf("one"), digestOf("two")
	actors := []*actor{
		m.actor("push 1", func(ctx context.Context, c *Cloud) error { return m.attempts(m.pushOrStore, ctx, c, one) }),
		m.actor("collector 1", m.collects),
		m.actor("collector 2", m.collects),
	}
	if m.rand.IntN(2) == 0 {
		actors = append(actors, m.actor("push 2", func(ctx context.Context, c *Cloud) error { return m.attempts(m.pushOrStore, ctx, c, one, two) }))
	}
	if m.rand.IntN(2) == 0 {
		m.tidied = true
		actors = append(actors, m.actor("user", m.tidies))
	}
	if m.rand.IntN(2) == 0 {
		actors = append(actors, m.actor("registry", func(ctx context.Context, c *Cloud) error { return m.condemns(ctx, c, one) }))
	}
	m.age = []time.Duration{0, 0, 24 * time.Hour}[m.rand.IntN(3)] // the age is for mercy and for lag: without any, nothing is lost either
	m.begin(one)
	m.run([]int{0, 0, 2}[m.rand.IntN(3)], actors...)
	m.settle()
	return m.events
}

func newModel(t *testing.T, fake *fakecloud.Cloud, seed uint64) *model {
	return &model{t: t, fake: fake, rand: rand.New(rand.NewPCG(seed, 0)), acknowledged: map[string]bool{}}
}

// settle lets days pass, and collectors work as they do then.
func (m *model) settle() {
	m.t.Helper()
	for range 4 {
		m.fake.Pass(49 * time.Hour)
		m.run(0, m.actor("prune", m.prunes), m.actor("the last collector", m.collect))
	}
	m.checkNothingLeft()
	if !m.tidied && m.killed == 0 && m.stored > 0 && len(m.tagged()) != 1 {
		m.fail("%d images have the tag", len(m.tagged()))
	}
}

// tagged are the images that are shown by the tag.
func (m *model) tagged() []fakecloud.Object {
	return slices.DeleteFunc(m.fake.All(fakecloud.Image), func(image fakecloud.Object) bool { return image["name"] != modelTag || image["os_hidden"] == true })
}

// begin leaves a layer from long ago, or none: one that an image needs, or no longer, and may be condemned.
func (m *model) begin(digest string) {
	how := m.rand.IntN(4)
	if how == 0 {
		return
	}
	m.run(0, m.actor("push 0", func(ctx context.Context, c *Cloud) error { return m.push(ctx, c, digest) }))
	m.fake.Pass(49 * time.Hour)
	if how > 1 {
		m.fake.Remove(fakecloud.Image, "web")
	}
	if how > 2 {
		m.run(0, m.actor("collector 0", m.collect))
	}
}

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

// run lets the actors work until all have ended or are killed; deadly is the chance of that in percent, at each request.
func (m *model) run(deadly int, actors ...*actor) {
	m.start(actors...)
	var last *actor
	patience := []int{3, 6, 10}[m.rand.IntN(3)] // requests that one makes, on average, before the next is let go
	for {
		alive := slices.DeleteFunc(slices.Clone(actors), func(a *actor) bool { return a.ended })
		if len(alive) == 0 {
			return
		}
		if last == nil || last.ended || m.rand.IntN(patience) == 0 {
			last = alive[m.rand.IntN(len(alive))]
			if m.rand.IntN(4) == 0 {
				m.fake.Pass([]time.Duration{time.Hour, 13 * time.Hour, 25 * time.Hour, 49 * time.Hour}[m.rand.IntN(4)])
			}
		}
		verdict := lives
		if m.rand.IntN(100) < deadly {
			verdict = []verdictOn{diesBefore, diesAfter}[m.rand.IntN(2)]
			m.killed++
		}
		m.step(last, verdict)
	}
}

// start lets the actors come to their first requests.
func (m *model) start(actors ...*actor) {
	for _, a := range actors {
		a.begun = true
		go a.work()
		a.wait()
	}
}

// step lets one request go.
func (m *model) step(a *actor, verdict verdictOn) {
	m.t.Helper()
	a.verdict <- verdict
	a.wait()
	m.checkImages()
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// until lets an actor work until it is about to make a request that begins so, or to its end.
func (m *model) until(a *actor, request string) {
	m.t.Helper()
	if !a.begun {
		m.start(a)
	}
	for !a.ended && (request == "" || !strings.HasPrefix(a.pending, request)) {
		m.step(a, lives)
	}
	if a.ended != (request == "") {
		m.fail("%s has ended: %t, and should come to %q", a.name, a.ended, request)
	}
}

// TestSlowCollectors are orders of events that chance seldom finds: a collector has seen enough, and acts when all has changed.
func TestSlowCollectors(t *testing.T) {
	t.Parallel()
	const file, change, remove, look = "GET /image/v2/images/", "PATCH", "DELETE", "GET /image/v2/images?limit=1000&name"
	one := digestOf("one")
	type actors struct{ push, first, second *actor }
	for name, order := range map[string]func(m *model, a actors){
		"it has read the archives, and finds a layer condemned since": func(m *model, a actors) {
			m.until(a.second, change) // it is about to condemn the layer
			m.until(a.first, file)
			m.step(a.first, lives)
			m.step(a.first, lives) // it has read the archive of another image
			m.until(a.push, "")
			m.until(a.second, "")
			m.until(a.first, "")
		},
		"it is about to delete what another finds to be needed": func(m *model, a actors) {
			m.until(a.push, "PUT") // it has found the layer, and its archive is not there yet
			m.run(0, m.actor("collector 0", m.collect))
			m.until(a.first, remove)
			m.until(a.push, look)
			m.until(a.second, "")
			m.until(a.push, "")
			m.until(a.first, "")
		},
		"it is about to condemn what a push has found": func(m *model, a actors) {
			m.until(a.first, change)
			m.until(a.push, "")
			m.until(a.first, "")
			m.until(a.second, "")
		},
		"it is about to condemn what a push needs, and finds no more": func(m *model, a actors) {
			m.until(a.first, change)
			m.until(a.push, "PUT")
			m.until(a.first, "")
			m.until(a.push, "")
			m.until(a.second, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := fakecloud.New()
			t.Cleanup(fake.Close)
			m := newModel(t, fake, 0)
			m.run(0, m.actor("push 0", func(ctx context.Context, c *Cloud) error { return m.push(ctx, c, one) }))
			fake.Remove(fakecloud.Image, "web") // its layer stays
			m.run(0, m.actor("push 0", func(ctx context.Context, c *Cloud) error { return m.push(ctx, c, digestOf("two")) }))
			a := actors{
				push:  m.actor("push", func(ctx context.Context, c *Cloud) error { return m.pushes(ctx, c, one) }),
				first: m.actor("collector 1", m.collect), second: m.actor("collector 2", m.collect),
			}
			order(m, a)
			m.settle()
		})
	}
}

// actor is one who works. Its requests wait until they are let go.
type actor struct {
	m       *model
	name    string
	cloud   *Cloud
	does    func(context.Context, *Cloud) error
	at      chan bool // false at its end
	verdict chan verdictOn
	pending string // request
	begun   bool
	ended   bool
}

type verdictOn int

const (
	lives verdictOn = iota
	diesBefore
	diesAfter
)

func (m *model) actor(name string, does func(context.Context, *Cloud) error) *actor {
	cloud, err := logIn(m.t, openrc(m.fake, nil))
	if err != nil {
		m.t.Fatal(err)
	}
	a := &actor{m: m, name: name, cloud: cloud, does: does, at: make(chan bool), verdict: make(chan verdictOn)}
	cloud.provider.HTTPClient.Transport = a
	return a
}

func (a *actor) work() {
	err := a.does(a.m.t.Context(), a.cloud)
	a.m.note("%s ends: %v", a.name, err)
	if err != nil && !errors.Is(err, errNotPushed) && !strings.Contains(err.Error(), "Invalid marker") { // its page's last image was deleted
		a.m.t.Errorf("%s: %v", a.name, err)
	}
	a.at <- false
}

// wait returns at the actor's next request, or at its end.
func (a *actor) wait() { a.ended = !<-a.at }

// RoundTrip implements http.RoundTripper.
func (a *actor) RoundTrip(r *http.Request) (*http.Response, error) {
	a.pending = r.Method + " " + r.URL.RequestURI()
	a.at <- true
	verdict := <-a.verdict
	if verdict == diesBefore {
		a.die("before %s %s", r.Method, r.URL)
	}
	answer := a.m.serve(r)
	a.m.note("%s %s %s: %d", a.name, r.Method, r.URL.RequestURI(), answer.StatusCode)
	if verdict == diesAfter {
		a.die("then")
	}
	return answer, nil
}

// die ends the actor where it is.
func (a *actor) die(format string, args ...any) {
	a.m.note("%s is killed %s", a.name, fmt.Sprintf(format, args...))
	a.at <- false
	runtime.Goexit()
}

func (m *model) serve(r *http.Request) *http.Response {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	m.fake.Handler().ServeHTTP(recorder, r)
	answer := recorder.Result()
	answer.Request = r
	return answer
}

func (m *model) note(format string, args ...any) {
	m.log = append(m.log, m.fake.Now().Format("Jan 2 15:04 ")+fmt.Sprintf(format, args...))
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(m.log, "\n"))
}

// errNotPushed is about a push that has found its layers gone too often.
var errNotPushed = errors.New("not pushed")

func (m *model) pushes(ctx context.Context, c *Cloud, digests ...string) error {
	return m.attempts(m.push, ctx, c, digests...)
}

func (m *model) attempts(push func(context.Context, *Cloud, ...string) error, ctx context.Context, c *Cloud, digests ...string) error {
	for range 3 {
		if err := push(ctx, c, digests...); !errors.Is(err, errNotPushed) {
			return err
		}
	}
	return errNotPushed
}

// pushOrStore is one attempt of a push by the command, or through a registry.
func (m *model) pushOrStore(ctx context.Context, c *Cloud, digests ...string) error {
	if m.rand.IntN(3) == 0 {
		return m.push(ctx, c, digests...)
	}
	return m.store(ctx, c, digests...)
}

// modelTag is the tag latest of a repository.
const modelTag = "web/tagged"

// store is one attempt of a push through a registry.
func (m *model) store(ctx context.Context, c *Cloud, digests ...string) error {
	layers, err := m.sendLayers(ctx, c, digests)
	if err != nil {
		return m.outcome("", err)
	}
	stored, err := c.StoreManifest(ctx, StoredManifest{
		Repository: modelTag, Tag: latest, Digest: digestOf(fmt.Sprint(m.rand.Int())), MediaType: "a type", Boots: true, Layers: layers, Content: modelArchive(layers),
	}, func(err error) { m.note("warning: %v", err) })
	if err == nil {
		m.stored++
	}
	return m.outcome(stored.ID, err)
}

func modelArchive(layers []StoredLayer) io.Reader {
	var listed []ListedLayer
	for n, layer := range layers {
		listed = append(listed, ListedLayer{Digest: layer.Digest, Number: n + 1, Size: layer.Size, Image: layer.Image})
	}
	archive, _ := json.Marshal(listed)
	return bytes.NewReader(archive)
}

// push is one attempt of a push.
func (m *model) push(ctx context.Context, c *Cloud, digests ...string) error {
	pushed, err := c.PushImage(ctx, PushOptions{Name: "web", Force: true, Open: func(ctx context.Context) (Content, error) {
		layers, err := m.sendLayers(ctx, c, digests)
		if err != nil {
			return nil, err
		}
		return modelContent{io.NopCloser(modelArchive(layers)), layers}, nil
	}})
	return m.outcome(pushed.ID, err)
}

// outcome counts what became of an attempt.
func (m *model) outcome(id string, err error) error {
	if errors.Is(err, ErrLayersGone) {
		m.refused++
		return errNotPushed
	}
	for _, status := range []int{http.StatusNotFound, http.StatusGone, http.StatusConflict} {
		if gophercloud.ResponseCodeIs(err, status) {
			return errNotPushed // a collector took an upload for one that nobody ends
		}
	}
	if err == nil {
		m.pushed++
		m.acknowledged[id] = true
	}
	return err
}

// modelContent is an archive that leaves layers out.
type modelContent struct {
	io.ReadCloser
	layers []StoredLayer
}

func (modelContent) Found() DockerImage {
	image := found
	image.Digest = digestOf("a manifest")
	return image
}

func (m modelContent) Layers() []StoredLayer { return m.layers }

func (m *model) sendLayers(ctx context.Context, c *Cloud, digests []string) ([]StoredLayer, error) {
	there, err := c.Layers(ctx, digests)
	if err != nil {
		return nil, err
	}
	var layers []StoredLayer
	for _, digest := range digests {
		layer, has := there[digest]
		if !has {
			layer, err = c.SendLayer(ctx, LayerUpload{Of: "web", Content: strings.NewReader("content of " + digest), Found: func() (StoredLayer, error) {
				return StoredLayer{Digest: digest, DiffID: digest, Size: 1}, nil
			}})
			if err != nil {
				return nil, err
			}
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// rename is how a push gives a layer its name.
func rename(ctx context.Context, client *gophercloud.ServiceClient, id, digest string) error {
	_, err := images.Update(ctx, client, id, images.UpdateOpts{
		images.ReplaceImageName{NewName: digest},
		images.UpdateImageProperty{Op: images.ReplaceOp, Name: propertyLayer, Value: digest},
		images.UpdateImageProperty{Op: images.AddOp, Name: propertyLayerDiffID, Value: digest},
	}).Extract()
	return err
}

func (m *model) collects(ctx context.Context, c *Cloud) error {
	for range 2 {
		if err := m.collect(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) collect(ctx context.Context, c *Cloud) error {
	done, err := c.CollectLayers(ctx, CollectOptions{ListReader: modelReader, Age: m.age, Now: m.fake.Now()})
	for _, one := range done {
		if m.note("%s %s %s", one.Action, one.Name, one.ID); one.Action == CollectDelete {
			m.deleted++
		} else {
			m.condemned++
		}
	}
	return err
}

// condemns is a user who has a registry delete a layer.
func (m *model) condemns(ctx context.Context, c *Cloud, digest string) error {
	err := c.CondemnLayer(ctx, digest, modelReader)
	var answer *Error
	if errors.Is(err, ErrNeeded) || errors.As(err, &answer) && answer.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// prunes is a user who deletes what pushes have left that were killed.
func (m *model) prunes(ctx context.Context, c *Cloud) error {
	left, err := c.Prunable(ctx, PruneOptions{Keep: 1000, Now: m.fake.Now()})
	if err != nil {
		return err
	}
	_, err = c.DeleteImages(ctx, left)
	return err
}

// modelReader reads archives as the model's pushes write them.
var modelReader = ListReader{Read: func(archive io.Reader) ([]ListedLayer, error) {
	var layers []ListedLayer
	err := json.NewDecoder(archive).Decode(&layers)
	return layers, err
}}

// tidies is a user who deletes images now and then, or hides one that another has superseded.
func (m *model) tidies(ctx context.Context, c *Cloud) error {
	client, err := c.glance()
	if err != nil {
		return err
	}
	for range 3 {
		all, err := c.Images(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			continue
		}
		switch id := all[m.rand.IntN(len(all))].ID; m.rand.IntN(3) {
		case 0:
			err = images.Delete(ctx, client, id).ExtractErr()
		case 1:
			_, err = images.Update(ctx, client, id, images.UpdateOpts{images.ReplaceImageHidden{NewHidden: true}}).Extract()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkImages checks that each image that is shown, or was, has all its layers where a boot finds them.
func (m *model) checkImages() {
	m.t.Helper()
	if m.stored > 0 && !m.tidied && len(m.tagged()) == 0 {
		m.fail("no image has the tag any more")
	}
	all := m.fake.All(fakecloud.Image)
	for _, image := range all {
		if image["os_hidden"] == true && !m.acknowledged[image["id"].(string)] || image["status"] != "active" {
			continue
		}
		for _, layer := range m.needs(image) {
			if !slices.ContainsFunc(all, func(stored fakecloud.Object) bool { return m.has(stored, layer) }) {
				m.fail("image %s lacks layer %s", image["id"], layer.Digest)
			}
		}
	}
}

func (m *model) needs(image fakecloud.Object) []ListedLayer {
	var layers []ListedLayer
	if err := json.Unmarshal(m.fake.Data(image["id"].(string)), &layers); err != nil {
		m.fail("image %v: %v", image, err)
	}
	return layers
}

// has tells whether a boot that needs a layer finds it in this image.
func (m *model) has(stored fakecloud.Object, layer ListedLayer) bool {
	named := stored["os_hidden"] == true && (stored["name"] == layer.Digest || stored["name"] == condemnedPrefix+layer.Digest)
	return stored["status"] == "active" && (named || stored["id"] == layer.Image) &&
		string(m.fake.Data(stored["id"].(string))) == "content of "+layer.Digest
}

// isImage tells an image from a layer. One that is not shown yet has another name.
func isImage(stored fakecloud.Object) bool { return strings.HasPrefix(stored["name"].(string), "web") }

// checkNothingLeft checks that each layer is one that an image needs, and that no image is left of a push that was killed.
func (m *model) checkNothingLeft() {
	m.t.Helper()
	all := m.fake.All(fakecloud.Image)
	for _, stored := range all {
		name := strings.TrimPrefix(stored["name"].(string), condemnedPrefix)
		if isImage(stored) {
			if stored["status"] != "active" || strings.HasPrefix(name, "web@") { // it is called so until it is whole
				m.fail("%s is left of a push that was killed: %v", stored["name"], stored)
			}
			continue
		}
		if !slices.ContainsFunc(all, func(image fakecloud.Object) bool {
			return isImage(image) && image["status"] == "active" && slices.ContainsFunc(m.needs(image), func(layer ListedLayer) bool { return layer.Digest == name })
		}) {
			m.fail("%s is left, and no image needs it", stored["name"])
		}
	}
}
