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

// smallBlobs keeps blobs that become a part of an image when their manifest comes. One that waits for its manifest stays until it is
// too old: the client was told that the registry has it. Where there is no room, no more are taken.
type smallBlobs struct {
	now      func() time.Time
	lock     sync.Mutex
	projects map[string]*smallOfProject
	bytes    int
}

type smallOfProject struct {
	waiting *simplelru.LRU[smallKey, smallBlob] // the oldest first
	spare   *simplelru.LRU[smallKey, smallBlob] // that are in an image by now: they make room for others
	bytes   int
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
	key := smallKey{of.user, d}
	found, ok := p.waiting.Peek(key)
	if !ok {
		found, ok = p.spare.Peek(key)
	}
	if !ok || found.until.Before(s.now()) {
		return nil, false
	}
	return found.content, true
}

// put keeps a blob. It returns false if there is no room for it.
func (s *smallBlobs) put(of owner, d digest.Digest, content []byte) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	defer s.removeEmpty()
	s.removeOld()
	p := s.of(of.project)
	key := smallKey{of.user, d}
	p.waiting.Remove(key)
	p.spare.Remove(key)
	if !s.makeRoom(p, len(content)+perBlob) {
		return false
	}
	content = append([]byte{}, content...) // never nil, and no longer than it must be
	p.waiting.Add(key, smallBlob{content, s.now().Add(smallFor)})
	s.count(p, len(content)+perBlob)
	return true
}

// stored says that a blob is in an image now. It stays while there is room: another push may have been told that it is there.
func (s *smallBlobs) stored(of owner, d digest.Digest) {
	s.lock.Lock()
	defer s.lock.Unlock()
	p := s.projects[of.project]
	if p == nil {
		return
	}
	key := smallKey{of.user, d}
	if one, ok := p.waiting.Peek(key); ok {
		p.waiting.Remove(key)
		p.spare.Add(key, one)
		s.count(p, len(one.content)+perBlob)
	}
}

func (s *smallBlobs) of(project string) *smallOfProject {
	p := s.projects[project]
	if p == nil {
		p = &smallOfProject{}
		removed := func(_ smallKey, b smallBlob) { s.count(p, -len(b.content)-perBlob) }
		p.waiting, _ = simplelru.NewLRU(math.MaxInt, removed)
		p.spare, _ = simplelru.NewLRU(math.MaxInt, removed)
		s.projects[project] = p
	}
	return p
}

// drop forgets a blob. It returns false if there is none.
func (s *smallBlobs) drop(of owner, d digest.Digest) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	p := s.projects[of.project]
	if p == nil {
		return false
	}
	defer s.removeEmpty()
	key, there := smallKey{of.user, d}, false
	for _, all := range []*simplelru.LRU[smallKey, smallBlob]{p.waiting, p.spare} {
		found, ok := all.Peek(key)
		there = there || ok && !found.until.Before(s.now())
		all.Remove(key)
	}
	return there
}

// perBlob is what a blob takes besides its content: an empty one is not for free.
const perBlob = 512

func (s *smallBlobs) count(p *smallOfProject, bytes int) {
	p.bytes += bytes
	s.bytes += bytes
}

// makeRoom removes what others can spare. It returns false if that is not enough.
func (s *smallBlobs) makeRoom(p *smallOfProject, bytes int) bool {
	for p.bytes+bytes > maxSmallOfProject {
		if _, _, ok := p.spare.RemoveOldest(); !ok {
			return false
		}
	}
	for _, one := range s.projects {
		for s.bytes+bytes > maxSmall {
			if _, _, ok := one.spare.RemoveOldest(); !ok {
				break
			}
		}
	}
	return s.bytes+bytes <= maxSmall
}

// removeOld removes what is too old.
func (s *smallBlobs) removeOld() {
	for _, one := range s.projects {
		for _, all := range []*simplelru.LRU[smallKey, smallBlob]{one.waiting, one.spare} {
			for {
				if _, oldest, ok := all.GetOldest(); !ok || oldest.until.After(s.now()) {
					break
				}
				all.RemoveOldest()
			}
		}
	}
}

func (s *smallBlobs) removeEmpty() {
	for id, one := range s.projects {
		if one.waiting.Len()+one.spare.Len() == 0 {
			delete(s.projects, id)
		}
	}
}
