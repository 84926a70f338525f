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

// A project that floods the memory pushes out its own blobs, and not those of another.
func TestSmallBlobsOfOneProject(t *testing.T) {
	s := newSmallBlobs()
	mine := owner{"mine", "ann"}
	for i := range 8 {
		s.put(mine, digest.FromString(fmt.Sprint("mine", i)), make([]byte, maxSmallBlob))
	}
	flood(s, owner{"flood", "eve"}, 100<<20, maxSmallBlob)
	if n := s.projects["flood"].bytes; n > maxSmallOfProject {
		t.Errorf("one project takes %d bytes", n)
	}
	for i := range 20 {
		flood(s, owner{fmt.Sprint("flood", i), "eve"}, 20<<20, maxSmallBlob)
	}
	flood(s, owner{"empty", "eve"}, 100_000, 1)
	if s.bytes > maxSmall {
		t.Errorf("all take %d bytes", s.bytes)
	}
	if n := s.projects["empty"].all.Len(); n*perBlob > maxSmallOfProject {
		t.Errorf("a project has %d tiny blobs", n)
	}
	if _, ok := s.get(mine, digest.FromString("mine7")); !ok {
		t.Error("floods have pushed out what another project had")
	}
	sum := 0
	for _, one := range s.projects {
		sum += one.bytes
	}
	if sum != s.bytes {
		t.Errorf("%d bytes are counted of %d", s.bytes, sum)
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
