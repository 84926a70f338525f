package storage

import (
	"testing"

	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"ndock/registry/gc"
	"ndock/registry/gc/gctest"
)

// The id and the name of a project are one namespace.
func TestQuotaOfProject(t *testing.T) {
	q := newQuota(1024, 10, inmemory.New())
	const id = "11111111111111111111111111111111"
	claims := map[string]*claim{"web/a": {repository: "web/a"}, id + "/a": {repository: id + "/a"}, "other/a": {repository: "other/a"}}
	q.join(id, "web")
	for _, c := range claims {
		if why := q.begin(t.Context(), c, 0, -1); why != nil {
			t.Fatal(why)
		}
	}
	if why := q.take(claims["web/a"], 600); why != nil {
		t.Error(why)
	}
	if why := q.take(claims[id+"/a"], 600); why == nil {
		t.Error("a project has a quota for its name and one for its id")
	}
	if why := q.take(claims["other/a"], 600); why != nil {
		t.Error(why)
	}
}

// A directory that goes while a namespace is counted takes nothing else out of the count.
func TestQuotaWhileUploadsArePurged(t *testing.T) {
	storage := &gctest.Purged{StorageDriver: inmemory.New(), Dir: gc.RootRepositories + "/web/a/_uploads/0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11"}
	blob := digest.FromString("b")
	for file, content := range map[string]string{
		storage.Dir + "/startedat": "2026-01-01T00:00:00Z",
		gc.RootRepositories + "/web/b/_layers/sha256/" + blob.Encoded() + "/link": blob.String(),
	} {
		if err := storage.PutContent(t.Context(), file, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	u, err := newQuota(1024, 10, storage).counted(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := u.blobs[blob]; !ok || len(u.open) != 0 {
		t.Errorf("counted are %v and %v", u.blobs, u.open)
	}
}

// What requests to a removed upload have left counts with the files.
func TestQuotaOfLeftovers(t *testing.T) {
	storage := inmemory.New()
	left := gc.RootRepositories + "/web/_uploads/0b1f4b5e-6ad5-4a5b-8f6e-6e3a0e8b7a11/hashstates/sha256/1"
	if err := storage.PutContent(t.Context(), left, []byte("x")); err != nil {
		t.Fatal(err)
	}
	u, err := newQuota(1024, 10, storage).counted(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if u.allFiles() != 5 || len(u.open) != 0 { // _uploads, and all in it
		t.Errorf("counted are %d files and the uploads %v", u.allFiles(), u.open)
	}
}

// A request that began before the name of its project was known counts on.
func TestQuotaIsJoinedMeanwhile(t *testing.T) {
	const id = "11111111111111111111111111111111"
	for _, name := range []string{id, "web"} {
		q := newQuota(1024, 10, inmemory.New())
		first, second := &claim{repository: name + "/a"}, &claim{repository: "web/b"}
		if why := q.begin(t.Context(), first, 0, -1); why != nil {
			t.Fatal(why)
		}
		if why := q.take(first, 600); why != nil {
			t.Fatal(why)
		}
		q.join(id, "web")
		if why := q.begin(t.Context(), second, 0, -1); why != nil {
			t.Fatal(why)
		}
		if why := q.take(second, 600); why == nil {
			t.Errorf("%s: what came before the namespaces were one does not count", name)
		}
	}
}
