package trust

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ndock/registry/internal/atomicfile"
	"ndock/registry/internal/pkitest"
	"ndock/registry/pki"
)

func TestTrust(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs.d")
	ours, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	docker := Certs{dir}
	sync := func(want bool, registries ...string) {
		t.Helper()
		if changed, err := docker.Sync(nil, registries, ours.Cert); err != nil || len(changed) > 0 != want {
			t.Fatalf("changed %v, %v; want %t", changed, err, want)
		}
	}
	sync(true, "localhost:5000", "127.0.0.1:5000")
	sync(false, "localhost:5000", "127.0.0.1:5000")
	holds(t, dir, "localhost:5000", string(ours.Cert))
	sync(true, "localhost:6000", "127.0.0.1:5000")
	if _, err := os.Stat(filepath.Join(dir, "localhost:5000")); err == nil {
		t.Error("a registry that moved is still trusted where it was")
	}
	sync(true)
	if _, err := os.Stat(dir); err == nil {
		t.Error("something is left behind")
	}
	sync(false)
}

// What an operator put there stays, be it in the same file.
func TestTrustKeepsWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	var cas [3]pki.Pair
	for i := range cas {
		var err error
		if cas[i], err = pki.NewAuthority(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	ours, stale, foreign := cas[0].Cert, cas[1].Cert, pkitest.ServerPair(t, time.Now()).Cert
	text := "# the site's CA\n" + string(foreign) + string(stale) + "# end"
	put(t, dir, "localhost:5000", text)
	put(t, dir, "elsewhere:5000", string(stale))
	docker := Certs{dir}
	if _, err := docker.Sync(nil, []string{"localhost:5000"}, ours); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, "localhost:5000", "# the site's CA\n"+string(foreign)+"# end\n"+string(ours))
	holds(t, dir, "elsewhere:5000", string(stale)) // the CA of a registry on another host
	if _, err := docker.Sync(nil, nil, ours); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, "localhost:5000", "# the site's CA\n"+string(foreign)+"# end\n")
}

func put(t *testing.T, dir, registry, text string) {
	t.Helper()
	if err := atomicfile.Publish(filepath.Join(dir, registry, "ca.crt"), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, dir, registry, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, registry, "ca.crt"))
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", registry, got, err, want)
	}
}
