package glance

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
)

// What is remembered of Glance: how long, and how many. A push asks for the same layers many times.
const (
	layersFor   = time.Minute // layers may be deleted
	imagesFor   = 10 * time.Second
	damagedFor  = 10 * time.Minute
	insideFor   = time.Hour   // images may be deleted
	brokenFor   = time.Minute // what Glance could not deliver
	maxLayers   = 50_000
	maxLists    = 1000
	maxDamaged  = 10_000
	maxVerified = 50_000
	maxListed   = 10_000  // images of one repository that are remembered
	maxInside   = 100_000 // blobs in images' own bytes, all together
	maxOfImage  = 10_000  // such blobs of one image
)

// known is where blobs were found. It only saves searches: whatever it says is asked of Glance with the user's own token.
type known struct {
	layers  *expirable.LRU[blobKey, Blob]
	lists   *expirable.LRU[listKey, []Image]
	damaged *expirable.LRU[imageKey, struct{}] // images that could not be read
	broken  *expirable.LRU[imageKey, struct{}] // images that Glance could not deliver: they are left out of searches

	verified *expirable.LRU[placeKey, struct{}] // blobs in images' own bytes that were read and have their digests

	lock     sync.Mutex
	contents *simplelru.LRU[imageKey, ofImage]
	inside   map[blobKey]Blob // what contents has
	count    int
	now      func() time.Time
}

// ofImage is what is in an image's own bytes.
type ofImage struct {
	blobs []Blob
	until time.Time
}

type (
	blobKey struct {
		project string
		digest  digest.Digest
	}
	imageKey struct{ project, image string }
	listKey  struct{ project, repository string }
	placeKey struct {
		project string
		blob    Blob
	}
)

func newKnown() *known {
	k := &known{inside: map[blobKey]Blob{}, now: time.Now}
	k.layers = expirable.NewLRU[blobKey, Blob](maxLayers, nil, layersFor)
	k.lists = expirable.NewLRU[listKey, []Image](maxLists, nil, imagesFor)
	k.damaged = expirable.NewLRU[imageKey, struct{}](maxDamaged, nil, damagedFor)
	k.broken = expirable.NewLRU[imageKey, struct{}](maxDamaged, nil, brokenFor)
	k.verified = expirable.NewLRU[placeKey, struct{}](maxVerified, nil, insideFor)
	k.contents, _ = simplelru.NewLRU(maxInside, k.dropped) // the size is the only thing that can be wrong
	return k
}

// dropped takes an image's blobs from those that are inside.
func (k *known) dropped(key imageKey, of ofImage) {
	k.count -= 1 + len(of.blobs)
	for _, one := range of.blobs {
		at := blobKey{key.project, one.Digest}
		if k.inside[at].Image == key.image {
			delete(k.inside, at)
		}
	}
}

// layer returns a blob of a project that is an image of its own.
func (k *known) layer(project string, d digest.Digest) (Blob, bool) {
	return k.layers.Get(blobKey{project, d})
}

// insideOf returns a blob that is in the own bytes of an image.
func (k *known) insideOf(project string, d digest.Digest) (Blob, bool) {
	k.lock.Lock()
	defer k.lock.Unlock()
	found, ok := k.inside[blobKey{project, d}]
	if of, _ := k.contents.Peek(imageKey{project, found.Image}); ok && of.until.Before(k.now()) {
		k.contents.Remove(imageKey{project, found.Image})
		return Blob{}, false
	}
	return found, ok
}

func (k *known) addLayer(project string, b Blob) { k.layers.Add(blobKey{project, b.Digest}, b) }

// noLayer forgets a blob that Glance has not as an image of its own.
func (k *known) noLayer(project string, d digest.Digest) { k.layers.Remove(blobKey{project, d}) }

// addImage remembers what is in an image.
func (k *known) addImage(project, image string, blobs []Blob) {
	k.lock.Lock()
	defer k.lock.Unlock()
	key := imageKey{project, image}
	k.contents.Remove(key)
	k.contents.Add(key, ofImage{blobs, k.now().Add(insideFor)})
	k.count += 1 + len(blobs)
	for _, one := range blobs {
		k.inside[blobKey{project, one.Digest}] = one
	}
	for k.count > maxInside {
		k.contents.RemoveOldest()
	}
}

func (k *known) addDamaged(project, image string) {
	k.damaged.Add(imageKey{project, image}, struct{}{})
}

func (k *known) isDamaged(project, image string) bool {
	return k.damaged.Contains(imageKey{project, image})
}

func (k *known) addBroken(project, image string) { k.broken.Add(imageKey{project, image}, struct{}{}) }

func (k *known) isBroken(project, image string) bool {
	return k.broken.Contains(imageKey{project, image})
}

func (k *known) addVerified(project string, b Blob) {
	k.verified.Add(placeKey{project, b}, struct{}{})
}

func (k *known) isVerified(project string, b Blob) bool {
	return k.verified.Contains(placeKey{project, b})
}

func (k *known) ofImage(project, image string) ([]Blob, bool) {
	k.lock.Lock()
	defer k.lock.Unlock()
	of, ok := k.contents.Get(imageKey{project, image})
	if ok && of.until.Before(k.now()) {
		k.contents.Remove(imageKey{project, image})
		return nil, false
	}
	return of.blobs, ok
}

// gone forgets a blob, and the image that it was in.
func (k *known) gone(project string, b Blob) {
	k.layers.Remove(blobKey{project, b.Digest})
	k.lock.Lock()
	defer k.lock.Unlock()
	k.contents.Remove(imageKey{project, b.Image})
}

// forget forgets where a blob was found.
func (k *known) forget(project string, d digest.Digest) {
	at, _ := k.insideOf(project, d)
	k.gone(project, Blob{Digest: d, Image: at.Image})
}

func (k *known) images(project, repository string) ([]Image, bool) {
	return k.lists.Get(listKey{project, repository})
}

func (k *known) addImages(project, repository string, images []Image) {
	if len(images) <= maxListed {
		k.lists.Add(listKey{project, repository}, images)
	}
}

// changed forgets the images of a repository.
func (k *known) changed(project, repository string) { k.lists.Remove(listKey{project, repository}) }
