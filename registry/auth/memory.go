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
	rightFor     = 3 * time.Minute
	wrongFor     = 10 * time.Second
	memorySize   = 10_000
	memorySecret = 32
)

// memory remembers checks by a keyed hash of name and password, whose key dies with the process: no password can be found
// out from it.
type memory struct {
	secret []byte
	now    func() time.Time

	mu    sync.Mutex
	right *simplelru.LRU[string, remembered]
	wrong *simplelru.LRU[string, remembered] // apart, so that guesses do not push out logins
}

type remembered struct {
	key   string
	who   Identity
	until time.Time
	left  time.Duration
}

func newMemory() *memory {
	m := &memory{secret: make([]byte, memorySecret), now: time.Now}
	rand.Read(m.secret) // which does not fail
	m.right, _ = simplelru.NewLRU[string, remembered](memorySize, nil)
	m.wrong, _ = simplelru.NewLRU[string, remembered](memorySize, nil) // the size is the only thing that can be wrong
	return m
}

// key hashes the parts, each with its length, so that none can reach into the next.
func (m *memory) key(parts ...string) string {
	mac := hmac.New(sha256.New, m.secret)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return string(mac.Sum(nil))
}

// recall returns who it was; nobody, if it was known to be wrong.
func (m *memory) recall(key string) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, all := range []*simplelru.LRU[string, remembered]{m.right, m.wrong} {
		one, ok := all.Get(key)
		if one.left = one.until.Sub(m.now()); ok && one.left > 0 {
			return one, true
		}
		all.Remove(key)
	}
	return remembered{}, false
}

func (m *memory) keep(key string, who Identity) remembered {
	until := m.now().Add(rightFor)
	if last := who.Expires(); !last.IsZero() && last.Before(until) {
		until = last
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.right.Add(key, remembered{key: key, who: who, until: until})
	return remembered{key: key, who: who, until: until, left: until.Sub(m.now())}
}

func (m *memory) keepWrong(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong.Add(key, remembered{key: key, until: m.now().Add(wrongFor)})
}
