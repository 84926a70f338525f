package network

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a-server")
	for _, ports := range [][]Port{two(), two()[:1]} { // each resolver once
		if err := WriteNames(dir, "web", "", ports); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(dir, "resolv.conf"), "nameserver 10.0.0.2\nnameserver fd00:1::2\n")
		wantFile(t, filepath.Join(dir, "hosts"), "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.5\tweb\n")
	}
}

func TestNamesInADomain(t *testing.T) {
	dir := t.TempDir()
	if err := WriteNames(dir, "web", "example.org", two()[1:]); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "resolv.conf"), "search example.org\n")
	wantFile(t, filepath.Join(dir, "hosts"), "127.0.0.1\tlocalhost\n10.0.0.6\tweb.example.org web\n")
}

func TestOwnAddress(t *testing.T) {
	for want, ports := range map[string][]Port{
		"10.0.0.5": {on("10.9.0.5/24", "", "10.0.0.5/24", "10.0.0.1")},
		"10.6.0.5": {on("fd00::5/64", "fd00::1", "10.6.0.5/24", "10.6.0.1")},
		"fd00::5":  {on("10.5.0.5/24", "", "fd00::5/64", "fd00::1")},
		"10.9.0.5": {on("10.9.0.5/24", ""), on("10.8.0.5/24", "")},
		"10.7.0.5": {on("10.9.0.5/24", ""), on("10.7.0.5/24", "10.7.0.1")},
	} {
		if got := ownAddress(ports).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestNamesWithoutPorts: a server without a network does not learn the host's resolvers.
func TestNamesWithoutPorts(t *testing.T) {
	dir := t.TempDir()
	if err := WriteNames(dir, "web", "", two()); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(dir, "resolv.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteNames(dir, "web", "", nil); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "resolv.conf"), "")
	if after, err := os.Stat(filepath.Join(dir, "resolv.conf")); err != nil || !os.SameFile(before, after) {
		t.Errorf("a container that has the file mounted does not see the new one: %v", err)
	}
}

// TestNamesGoNowhereElse: whatever the file has become.
func TestNamesGoNowhereElse(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(other, filepath.Join(dir, "resolv.conf")); err != nil {
		t.Fatal(err)
	}
	if err := WriteNames(dir, "web", "", nil); err == nil {
		t.Error("got no error")
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Error("it was written through a link")
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
	}
}
