package instance_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/storage"
	"golang.org/x/sys/unix"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

// TestAccountsBehindMounts: the engine opens both lists without the container's mounts, where it may find another thing than its API
// shows; the runtime with all of them. Links that mounts hide: /etc/hosts -> group, /mnt/config -> /etc, /etc/group -> /mnt/config/….
func TestAccountsBehindMounts(t *testing.T) {
	const path = "etc/group"
	for name, test := range map[string]struct {
		image func(dir string) error
		shown fs.FileMode // by Docker's API
		says  string
	}{
		"a file":             {file(path, 100), 0, ""},
		"a pipe":             {pipe(path), 0, "its /etc/group is a named pipe"},
		"a file without end": {file(path, 1<<40), 0, "its /etc/group has 1099511627776 bytes"},
		"a pipe in a mount":  {file(path, 100), fs.ModeNamedPipe, "its /etc/group is a named pipe"},
		"a link below a mount": {
			both(link("/mnt/config/openstack/latest/meta_data.json", path), pipe("mnt/config/openstack/latest/meta_data.json")), 0,
			"its /etc/group is a named pipe",
		},
		"/etc below a mount":     {both(link("mnt/rescue/etc", "etc"), pipe("mnt/rescue/etc/group")), 0, "its /etc/group is a named pipe"},
		"a link to a terminal":   {link("/dev/ptmx", path), 0, "its /etc/group leads to /dev, which is not the image's"},
		"a link to nowhere":      {link("group", path), 0, "its /etc/group leads through too many links"},
		"the links of Nix":       {both(link("/nix/store/x-etc/group", path), file("nix/store/x-etc/group", 100)), 0, ""},
		"/etc of Nix is a link":  {both(link("/nix/store/x/etc", "etc"), file("nix/store/x/etc/group", 100)), 0, ""},
		"no accounts":            {func(string) error { return nil }, 0, ""},
		"a link that leads back": {both(link("../../../../etc/g", path), file("etc/g", 100)), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.New()
			engine.PutServer(container.StateExited)
			dir := ownFiles(t, engine)
			if err := test.image(dir); err != nil {
				t.Fatal(err)
			}
			engine.Files["/"+path] = []byte("root:x:0:\n")
			if test.shown != 0 {
				engine.Modes["/"+path] = test.shown
			}
			status, body := ask(t, engine, "POST", agenttest.ServerPath+"/start", "")
			if test.says == "" {
				agenttest.WantOK(t, status, body)
				return
			}
			agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
			if state := engine.Containers[naming.Container(enginetest.ServerID)].State; !strings.Contains(body, test.says) || state.Running {
				t.Errorf("answered %s, running %t", body, state.Running)
			}
		})
	}
}

// ownFiles gives the server's container files of its own, of two layers, and returns the image's.
func ownFiles(t *testing.T, engine *enginetest.Engine) (image string) {
	t.Helper()
	upper, image := t.TempDir(), t.TempDir()
	name := naming.Container(enginetest.ServerID)
	found := engine.Containers[name]
	found.GraphDriver = storage.DriverData{Name: "overlay2", Data: map[string]string{"UpperDir": upper, "LowerDir": image}}
	engine.Containers[name] = found
	return image
}

// in makes something at a path of an image.
func in(name string, create func(path string) error) func(dir string) error {
	return func(dir string) error {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		return create(filepath.Join(dir, name))
	}
}

func pipe(name string) func(dir string) error {
	return in(name, func(path string) error { return unix.Mkfifo(path, 0o644) })
}

func link(target, name string) func(dir string) error {
	return in(name, func(path string) error { return os.Symlink(target, path) })
}

func file(name string, size int64) func(dir string) error {
	return in(name, func(path string) error {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		return os.Truncate(path, size)
	})
}

func both(one, other func(dir string) error) func(dir string) error {
	return func(dir string) error {
		if err := one(dir); err != nil {
			return err
		}
		return other(dir)
	}
}
