package network

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "servers", "a-server")
	if ports, err := Ports(dir); err != nil || len(ports) > 0 {
		t.Errorf("a server without a directory: got %v, %v", ports, err)
	}
	both := two()
	both[0].Dir, both[1].Dir = dir, dir
	for _, want := range [][]Port{both, {}} {
		if err := SetPorts(dir, want); err != nil {
			t.Fatal(err)
		}
		if got, err := Ports(dir); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `[{"id":"short"}]`, `[{}]`} {
		if err := os.WriteFile(filepath.Join(dir, portsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if ports, err := Ports(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%q: got %v, %v", text, ports, err)
		}
	}
}
