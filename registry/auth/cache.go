package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How long what was checked is remembered, and how many such.
const (
	validFor   = 3 * time.Minute
	invalidFor = 10 * time.Second
	cacheSize  = 10_000
	secretSize = 32
)

// credentialCache keeps the results of checks by a keyed hash of name and password. The key dies with the process, so
// that no password can be found out from the cache.
type credentialCache struct {
	secret []byte
	now    func() time.Time

	mu      sync.Mutex
	valid   *simplelru.LRU[string, cacheEntry]
	invalid *simplelru.LRU[string, cacheEntry] // apart, so that guesses do not push out logins
}

type cacheEntry struct {
	key   string
	who   Identity
	until time.Time
	left  time.Duration
}

func newCredentialCache() *credentialCache {
	m := &credentialCache{secret: make([]byte, secretSize), now: time.Now}
	rand.Read(m.secret) // which does not fail
	m.valid, _ = simplelru.NewLRU[string, cacheEntry](cacheSize, nil)
	m.invalid, _ = simplelru.NewLRU[string, cacheEntry](cacheSize, nil) // the size is the only thing that can be wrong
	return m
}

// key hashes the parts, each with its length, so that one part cannot be taken for a piece of the next.
func (m *credentialCache) key(parts ...string) string {
	mac := hmac.New(sha256.New, m.secret)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return string(mac.Sum(nil))
}

// get returns a cached result; without an Identity if the credentials were wrong.
func (m *credentialCache) get(key string) (cacheEntry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, all := range []*simplelru.LRU[string, cacheEntry]{m.valid, m.invalid} {
		one, ok := all.Get(key)
		if one.left = one.until.Sub(m.now()); ok && one.left > 0 {
			return one, true
		}
		all.Remove(key)
	}
	return cacheEntry{}, false
}

// put caches that the credentials are those of the user.
func (m *credentialCache) put(key string, who Identity) cacheEntry {
	until := m.now().Add(validFor)
	if last := who.Expires(); !last.IsZero() && last.Before(until) {
		until = last
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.valid.Add(key, cacheEntry{key: key, who: who, until: until})
	return cacheEntry{key: key, who: who, until: until, left: until.Sub(m.now())}
}

// forget removes what a key stands for.
func (m *credentialCache) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.valid.Remove(key)
}

// putWrong caches that the credentials are wrong.
func (m *credentialCache) putWrong(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invalid.Add(key, cacheEntry{key: key, until: m.now().Add(invalidFor)})
}
