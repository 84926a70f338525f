package glance

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func flood(s *smallBlobs, of owner, bytes, size int) {
	for i := range bytes / size {
		s.put(of, digest.FromString(fmt.Sprint(of, i)), make([]byte, size))
	}
}

// Whatever projects send, what a client was told to be there stays, and memory is bounded.
func TestSmallBlobsStay(t *testing.T) {
	s := newSmallBlobs()
	mine := owner{"mine", "ann"}
	for i := range 8 {
		s.put(mine, digest.FromString(fmt.Sprint("mine", i)), make([]byte, maxSmallBlob))
	}
	for i := range 20 {
		flood(s, owner{fmt.Sprint("flood", i), "eve"}, 100<<20, maxSmallBlob)
	}
	if n := s.projects["flood0"].bytes; n > maxSmallOfProject {
		t.Errorf("one project takes %d bytes", n)
	}
	flood(s, owner{"empty", "eve"}, 100_000, 1)
	if s.bytes > maxSmall {
		t.Errorf("all take %d bytes", s.bytes)
	}
	for i := range 8 {
		if _, ok := s.get(mine, digest.FromString(fmt.Sprint("mine", i))); !ok {
			t.Errorf("floods have pushed out blob %d", i)
		}
	}
	sum := 0
	for _, one := range s.projects {
		sum += one.bytes
	}
	if sum != s.bytes {
		t.Errorf("%d bytes are counted of %d", s.bytes, sum)
	}
}

// A blob that is in an image makes room for others.
func TestStoredSmallBlobsMakeRoom(t *testing.T) {
	s := newSmallBlobs()
	of := owner{"p", "ann"}
	first := digest.FromString("first")
	s.put(of, first, make([]byte, maxSmallBlob))
	s.stored(of, first)
	if _, ok := s.get(of, first); !ok {
		t.Error("a blob goes though there is room")
	}
	for i := range 15 {
		if !s.put(of, digest.FromString(fmt.Sprint(i)), make([]byte, maxSmallBlob)) {
			t.Errorf("there is no room for blob %d", i)
		}
	}
	if _, ok := s.get(of, first); ok || s.put(of, first, make([]byte, maxSmallBlob)) {
		t.Error("there is room for more than there should be")
	}
	if n := 15 * (maxSmallBlob + perBlob); s.bytes != n || s.projects["p"].bytes != n {
		t.Errorf("%d bytes are counted of %d", s.bytes, n)
	}
}

func TestSmallBlobsAreTheirOwners(t *testing.T) {
	s := newSmallBlobs()
	clock := time.Unix(1e9, 0)
	s.now = func() time.Time { return clock }
	d := digest.FromString("content")
	content := []byte("content")
	s.put(owner{"p", "ann"}, d, content)
	content[0] = 'C'
	s.put(owner{"p", "ann"}, digest.FromString(""), nil)
	for _, other := range []owner{{"p", "bob"}, {"q", "ann"}} {
		if _, ok := s.get(other, d); ok {
			t.Errorf("%v has it, too", other)
		}
	}
	if got, ok := s.get(owner{"p", "ann"}, d); !ok || string(got) != "content" {
		t.Errorf("got %q", got)
	}
	if got, ok := s.get(owner{"p", "ann"}, digest.FromString("")); !ok || got == nil {
		t.Error("an empty blob is none")
	}
	clock = clock.Add(smallFor + time.Second)
	if _, ok := s.get(owner{"p", "ann"}, d); ok {
		t.Error("it stays for ever")
	}
	s.put(owner{"q", "bob"}, d, nil)
	if len(s.projects) != 1 {
		t.Error("old blobs take memory")
	}
}
