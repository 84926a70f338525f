package glance

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func TestKnownIsBounded(t *testing.T) {
	k := newKnown()
	var blobs []Blob
	for i := range maxOfImage {
		blobs = append(blobs, Blob{Digest: digest.FromString(fmt.Sprint(i)), Image: "x"})
	}
	for i := range 30 {
		k.addImage("p", fmt.Sprint(i), blobs)
	}
	for i := range 1000 {
		k.addImage("p", fmt.Sprint("empty", i), nil)
	}
	if k.count > maxInside || len(k.inside) > k.count {
		t.Errorf("%d are counted, %d kept", k.count, len(k.inside))
	}
}

func TestKnownForgets(t *testing.T) {
	k := newKnown()
	d := digest.FromString("blob")
	k.addImage("p", "old", []Blob{{Digest: d, Image: "old"}})
	k.addImage("p", "new", []Blob{{Digest: d, Image: "new"}})
	if _, ok := k.insideOf("q", d); ok {
		t.Error("another project has it")
	}
	k.gone("p", Blob{Digest: d, Image: "old"})
	if got, ok := k.insideOf("p", d); !ok || got.Image != "new" {
		t.Errorf("the blob of the other image is %+v", got)
	}
	k.gone("p", Blob{Digest: d, Image: "new"})
	if _, ok := k.insideOf("p", d); ok || k.count != 0 || len(k.inside) != 0 {
		t.Errorf("%d are left", k.count)
	}
}

// What was in an image is forgotten after a while: it may be deleted.
func TestKnownEnds(t *testing.T) {
	k, clock, d := newKnown(), time.Unix(1e9, 0), digest.FromString("blob")
	k.now = func() time.Time { return clock }
	k.addImage("p", "one", []Blob{{Digest: d, Image: "one"}})
	clock = clock.Add(insideFor + time.Second)
	if _, ok := k.insideOf("p", d); ok {
		t.Error("a blob is known for ever")
	}
	if _, ok := k.ofImage("p", "one"); ok || k.count != 0 || len(k.inside) != 0 {
		t.Errorf("%d are left", k.count)
	}
}
