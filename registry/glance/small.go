package glance

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
)

// How many bytes of small blobs wait in memory for their manifests, and how long.
const (
	maxSmall          = 64 << 20
	maxSmallOfProject = 16 << 20
	smallFor          = time.Hour
)

// smallBlobs keeps blobs that become a part of an image when their manifest comes. Where there is no room, the oldest one goes of
// the project that has most, so that no project can push out what little another has.
type smallBlobs struct {
	now      func() time.Time
	lock     sync.Mutex
	projects map[string]*smallOfProject
	bytes    int
}

type smallOfProject struct {
	all   *simplelru.LRU[smallKey, smallBlob]
	bytes int
}

type smallKey struct {
	user   string
	digest digest.Digest
}

type smallBlob struct {
	content []byte
	until   time.Time
}

func newSmallBlobs() *smallBlobs {
	return &smallBlobs{now: time.Now, projects: map[string]*smallOfProject{}}
}

// get returns a blob's content, which is not to be changed.
func (s *smallBlobs) get(of owner, d digest.Digest) ([]byte, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	p := s.projects[of.project]
	if p == nil {
		return nil, false
	}
	found, ok := p.all.Get(smallKey{of.user, d})
	if !ok || found.until.Before(s.now()) {
		return nil, false
	}
	return found.content, true
}

// put keeps a blob.
func (s *smallBlobs) put(of owner, d digest.Digest, content []byte) {
	content = append([]byte{}, content...) // never nil, and no longer than it must be
	s.lock.Lock()
	defer s.lock.Unlock()
	p := s.projects[of.project]
	if p == nil {
		p = &smallOfProject{}
		p.all, _ = simplelru.NewLRU(math.MaxInt, func(_ smallKey, b smallBlob) { s.count(p, -len(b.content)-perBlob) })
		s.projects[of.project] = p
	}
	key := smallKey{of.user, d}
	p.all.Remove(key)
	p.all.Add(key, smallBlob{content, s.now().Add(smallFor)})
	s.count(p, len(content)+perBlob)
	s.makeRoom(p)
}

// drop forgets a blob. It returns false if there is none.
func (s *smallBlobs) drop(of owner, d digest.Digest) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	p := s.projects[of.project]
	if p == nil {
		return false
	}
	found, ok := p.all.Peek(smallKey{of.user, d})
	p.all.Remove(smallKey{of.user, d})
	return ok && !found.until.Before(s.now())
}

// perBlob is what a blob takes besides its content: an empty one is not for free.
const perBlob = 512

func (s *smallBlobs) count(p *smallOfProject, bytes int) {
	p.bytes += bytes
	s.bytes += bytes
}

// makeRoom removes what is too old, or too much.
func (s *smallBlobs) makeRoom(p *smallOfProject) {
	for p.bytes > maxSmallOfProject {
		p.all.RemoveOldest()
	}
	for s.bytes > maxSmall {
		s.largest().all.RemoveOldest()
	}
	for id, one := range s.projects {
		for {
			if _, oldest, ok := one.all.GetOldest(); !ok || oldest.until.After(s.now()) {
				break
			}
			one.all.RemoveOldest()
		}
		if one.all.Len() == 0 {
			delete(s.projects, id)
		}
	}
}

func (s *smallBlobs) largest() *smallOfProject {
	var found *smallOfProject
	for _, one := range s.projects {
		if found == nil || one.bytes > found.bytes {
			found = one
		}
	}
	return found
}
