package rootfs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/storage"
	"golang.org/x/sys/unix"

	"ndock/docker/engine/rootfs"
)

// A layer has files by their paths; what each is, its text says: "-> x" a link, "|" a FIFO, "0" the device 0:0, "/" a directory
// (and "/a=v" one with an attribute of the overlay file system), "a=v" a file with one, anything else a file's content.
type layer map[string]string

// containerOf makes the files of a container, uppermost layer first.
func containerOf(t *testing.T, layers ...layer) container.InspectResponse {
	t.Helper()
	var dirs []string
	for _, one := range layers {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		for name, is := range one {
			if err := create(filepath.Join(dir, name), is); err != nil {
				t.Fatal(err)
			}
		}
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{GraphDriver: storage.DriverData{
		Name: "overlay2", Data: map[string]string{"UpperDir": dirs[0], "LowerDir": strings.Join(dirs[1:], ":")},
	}}}
}

func create(name, is string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	target, link := strings.CutPrefix(is, "-> ")
	directory := strings.HasPrefix(is, "/")
	attribute, value, has := strings.Cut(strings.TrimPrefix(is, "/"), "=")
	var err error
	switch {
	case link:
		err = os.Symlink(target, name)
	case is == "|":
		err = unix.Mkfifo(name, 0o644)
	case is == "0":
		err = unix.Mknod(name, unix.S_IFCHR, 0)
	case directory:
		err = os.MkdirAll(name, 0o755)
	default:
		err = os.WriteFile(name, []byte(is), 0o644)
	}
	if has {
		err = errors.Join(err, unix.Setxattr(name, "trusted.overlay."+attribute, []byte(value), 0))
	}
	return err
}

// found says what is at a path, in the words of a layer.
func found(of container.InspectResponse, name string) string {
	files, err := rootfs.Open(of)
	if err != nil {
		return err.Error()
	}
	defer files.Close()
	info, err := files.Stat(context.Background(), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "nothing"
	case err != nil:
		return err.Error()
	case info.IsDir():
		return "/"
	case info.Mode()&fs.ModeNamedPipe != 0:
		return "|"
	}
	return fmt.Sprint(info.Size())
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root gives files attributes of the overlay file system")
	}
}

// TestStat: /etc/group, as Docker Engine finds it. A file of two bytes is the answer "2".
func TestStat(t *testing.T) {
	needsRoot(t)
	for name, test := range map[string]struct {
		layers []layer
		want   string
	}{
		"nothing":                        {[]layer{{}, {"etc/passwd": "x"}}, "nothing"},
		"no /etc":                        {[]layer{{}, {"bin/sh": "x"}}, "nothing"},
		"a file of the image":            {[]layer{{}, {}, {"etc/group": "xx"}}, "2"},
		"a file of the container":        {[]layer{{"etc/group": "xx"}, {"etc/group": "|"}}, "2"},
		"a pipe over a file":             {[]layer{{}, {"etc/group": "|"}, {"etc/group": "xx"}}, "|"},
		"removed":                        {[]layer{{"etc/group": "0"}, {"etc/group": "xx"}}, "nothing"},
		"removed, and made again":        {[]layer{{"etc/group": "xx"}, {"etc/group": "0"}, {"etc/group": "|"}}, "2"},
		"/etc removed":                   {[]layer{{"etc": "0"}, {"etc/group": "xx"}}, "nothing"},
		"/etc made anew":                 {[]layer{{"etc": "/opaque=y"}, {"etc/group": "xx"}}, "nothing"},
		"/etc was a file":                {[]layer{{"etc": "/"}, {"etc": "xx"}, {"etc/group": "xx"}}, "nothing"},
		"/etc is a file":                 {[]layer{{}, {"etc": "xx"}, {"etc/group": "xx"}}, "nothing"},
		"below an opaque directory":      {[]layer{{"a": "/opaque=y", "a/b/group": "xx", "etc/group": "-> /a/b/group"}, {"a/b/group": "|"}}, "2"},
		"a link":                         {[]layer{{}, {"etc/group": "-> /nix/group", "nix/group": "xx"}}, "2"},
		"a link to a pipe":               {[]layer{{}, {"etc/group": "-> ../run/p"}, {"run/p": "|"}}, "|"},
		"/etc is a link":                 {[]layer{{}, {"etc": "-> nix/etc", "nix/etc/group": "-> ../g"}, {"nix/g": "xx"}}, "2"},
		"a link of a link":               {[]layer{{"a": "-> b"}, {"etc/group": "-> /a", "b": "xx"}}, "2"},
		"a link out of all":              {[]layer{{}, {"etc/group": "-> ../../../../../../../../../../../../../../x", "x": "xx"}}, "2"},
		"a link to nothing":              {[]layer{{}, {"etc/group": "-> /x"}}, "nothing"},
		"back, from what is not there":   {[]layer{{}, {"etc/group": "-> /not/there/../../x", "x": "xx"}}, "2"},
		"back, through another link":     {[]layer{{}, {"etc/group": "-> /a/../x", "a": "-> /b/c", "b/c": "/", "b/x": "|", "x": "xx"}}, "|"},
		"a link to where a mount may be": {[]layer{{}, {"etc/group": "-> /mnt/config/x", "mnt/config/x": "|"}}, "|"},
		"the root":                       {[]layer{{}, {"etc/group": "-> /"}}, "/"},
		"a loop":                         {[]layer{{}, {"etc/group": "-> group"}}, "/etc/group leads through too many links"},
		"a terminal":                     {[]layer{{}, {"etc/group": "-> /dev/ptmx"}}, "/etc/group leads to /dev, which is not the image's"},
		"through what the kernel shows":  {[]layer{{}, {"etc/group": "-> /proc/self/root/x", "x": "xx"}}, "/etc/group leads to /proc, which is not the image's"},
		"moved, by the image":            {[]layer{{}, {"etc": "/redirect=/x"}, {"x/group": "|"}}, "/etc is put together of directories of another name"},
		"other whiteouts":                {[]layer{{}, {"etc": "/opaque=x"}, {"etc/group": "xx"}}, "/etc is put together of directories of another name"},
		"content from below":             {[]layer{{}, {"etc/group": "metacopy="}, {"etc/group": "xx"}}, "/etc/group has its content in another layer of the image"},
		"content from elsewhere":         {[]layer{{}, {"etc/group": "metacopy=y"}, {"etc/group": "xx"}}, "/etc/group has its content in another layer of the image"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := found(containerOf(t, test.layers...), "/etc/group"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestALongWay: a link of many names, through directories that many layers have, is not followed for hours.
func TestALongWay(t *testing.T) {
	needsRoot(t)
	deep := strings.Repeat("a/", 250)
	layers := []layer{{"etc/group": "-> /" + deep + "x"}}
	for range 40 {
		layers = append(layers, layer{deep + "x": "|"})
	}
	of := containerOf(t, layers...)
	if got := found(of, "/etc/group"); got != "/etc/group leads through too many directories of too many layers" {
		t.Errorf("got %q", got)
	}
	files, err := rootfs.Open(of)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := files.Stat(ctx, "/etc/group"); !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody waits: %v", err)
	}
}

// TestNoLinkLeadsToTheHost: what a layer has as a directory's name leads nowhere out of it.
func TestNoLinkLeadsToTheHost(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "group")
	if err := os.WriteFile(secret, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{filepath.Dir(secret), strings.Repeat("../", 40) + filepath.Dir(secret)} {
		if got := found(containerOf(t, layer{}, layer{"etc": "-> " + link}), "/etc/group"); got != "nothing" {
			t.Errorf("%s: got %s", link, got)
		}
	}
}

// TestLikeTheKernel compares it with an overlay file system of the same layers.
func TestLikeTheKernel(t *testing.T) {
	needsRoot(t)
	all := []layer{
		{"a": "/opaque=y", "a/x": "xx", "b": "0", "c/y": "0", "d": "/", "f/g/h": "xx"},
		{"a/y": "xx", "b/x": "xx", "c/x": "xx", "c/y": "xx", "d": "xx", "e": "0", "f/g": "0"},
		{"a/z": "xx", "b/y": "xx", "c/z": "xxx", "d/x": "xx", "e/x": "xx", "f/g/i": "|"},
	}
	of := containerOf(t, all...)
	merged := t.TempDir()
	lower := of.GraphDriver.Data["UpperDir"] + ":" + of.GraphDriver.Data["LowerDir"]
	if err := unix.Mount("overlay", merged, "overlay", unix.MS_RDONLY, "lowerdir="+lower); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	for _, one := range all {
		for name := range one {
			want := "nothing"
			switch info, err := os.Lstat(filepath.Join(merged, name)); {
			case err != nil:
			case info.IsDir():
				want = "/"
			case info.Mode()&fs.ModeNamedPipe != 0:
				want = "|"
			default:
				want = fmt.Sprint(info.Size())
			}
			if got := found(of, "/"+name); got != want {
				t.Errorf("%s: got %s, the kernel has %s", name, got, want)
			}
		}
	}
}

// TestNotHere: other storage drivers, and an engine that is elsewhere.
func TestNotHere(t *testing.T) {
	of := containerOf(t, layer{}, layer{})
	of.GraphDriver.Data["LowerDir"] += ":/not/there"
	other := containerOf(t, layer{}, layer{})
	other.GraphDriver.Name = "btrfs"
	for _, one := range []container.InspectResponse{of, other, {}} {
		if _, err := rootfs.Open(one); !errors.Is(err, rootfs.ErrNotHere) {
			t.Errorf("got %v", err)
		}
	}
}
