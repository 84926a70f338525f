package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How long what was checked is remembered, and how many such.
const (
	validFor   = 3 * time.Minute
	invalidFor = 10 * time.Second
	cacheSize  = 10_000
	retryAfter = time.Minute // for so long, what was forgotten and checked anew is not forgotten again
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
	dropped *simplelru.LRU[string, time.Time]  // when what was valid was forgotten
}

type cacheEntry struct {
	key   string
	who   Identity
	since time.Time
	until time.Time
	left  time.Duration
}

func newCredentialCache() *credentialCache {
	m := &credentialCache{secret: make([]byte, secretSize), now: time.Now}
	rand.Read(m.secret) // which does not fail
	m.valid, _ = simplelru.NewLRU[string, cacheEntry](cacheSize, nil)
	m.invalid, _ = simplelru.NewLRU[string, cacheEntry](cacheSize, nil) // the size is the only thing that can be wrong
	m.dropped, _ = simplelru.NewLRU[string, time.Time](cacheSize, nil)
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

// seal returns a text that stands for a key for so long.
func (m *credentialCache) seal(key string, lasts time.Duration) string {
	until := string(binary.BigEndian.AppendUint64(nil, uint64(m.now().Add(lasts).UnixNano())))
	return hex.EncodeToString([]byte(key + until + m.key("seal", key+until)))
}

// open returns the key that a text stands for, if seal has made it and its time is not over.
func (m *credentialCache) open(text string) (key string, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != sha256.Size+8+sha256.Size {
		return "", false
	}
	key, until, mac := string(raw[:sha256.Size]), raw[sha256.Size:sha256.Size+8], raw[sha256.Size+8:]
	if !hmac.Equal(mac, []byte(m.key("seal", string(raw[:sha256.Size+8])))) {
		return "", false
	}
	return key, m.now().UnixNano() < int64(binary.BigEndian.Uint64(until))
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
	now := m.now()
	until := now.Add(validFor)
	if last := who.Expires(); !last.IsZero() && last.Before(until) {
		until = last
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.valid.Add(key, cacheEntry{key: key, who: who, since: now, until: until})
	return cacheEntry{key: key, who: who, since: now, until: until, left: until.Sub(now)}
}

// forget removes what a key has stood for since a time. It returns false, and removes nothing, if that was checked after the
// same had been forgotten a while ago: to check it again would not help. What was checked meanwhile stays.
func (m *credentialCache) forget(key string, since time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	dropped, before := m.dropped.Get(key)
	switch now := m.now(); {
	case before && !since.After(dropped):
	case before && now.Sub(dropped) < retryAfter:
		return false
	default:
		m.valid.Remove(key)
		m.dropped.Add(key, now)
	}
	return true
}

// putWrong caches that the credentials are wrong.
func (m *credentialCache) putWrong(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invalid.Add(key, cacheEntry{key: key, until: m.now().Add(invalidFor)})
}
