package limits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/system"
)

func TestTheProfileOfAServer(t *testing.T) {
	dir := t.TempDir()
	lists := map[string]string{
		"none": "", "loaded": "docker-default (enforce)\nndock-server (enforce)\n", "complains": "ndock-server (complain)\n",
		"others": "ndock-server-2 (enforce)\nmy ndock-server (enforce)\n",
		"long":   strings.Repeat("snap.x (enforce)\n", 10000) + "ndock-server (enforce)\n",
	}
	for name, text := range lists {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	on := system.Info{SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=builtin"}}
	for _, c := range []struct {
		operators, list string
		info            system.Info
		want            string
	}{
		{"default", "loaded", on, "ndock-server"},
		{"default", "long", on, "ndock-server"},
		{"default", "none", on, ""},
		{"default", "complains", on, ""},
		{"default", "others", on, ""},
		{"default", "not there", on, ""},
		{"default", "loaded", system.Info{}, ""}, // the engine has it switched off
		{"docker-default", "loaded", on, "docker-default"},
		{"mine", "none", system.Info{}, "mine"},
		{"unconfined", "loaded", on, "unconfined"},
	} {
		if got, err := AppArmorProfile(c.operators, c.info, filepath.Join(dir, c.list)); got != c.want || err != nil {
			t.Errorf("%s, where the list is %q: got %q, %v, want %q", c.operators, c.list, got, err, c.want)
		}
	}
	if got, err := AppArmorProfile("default", on, dir); err == nil {
		t.Errorf("where the list cannot be read: got %q", got)
	}
}
