// Package rootfs looks at the files of a container that does not run as Docker Engine sees them while it starts it: without the
// container's mounts. Docker's API shows them with all mounts in place, and by links and mounts a tenant can have the one look
// unlike the other. The files are a tenant's, with any name and of any kind: none is opened but directories and regular
// files, and no link leads out of a layer.
package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// ErrNotHere is for a container whose files are not to be found: Docker's storage driver is not overlay2, or they are not on
// this host.
var ErrNotHere = errors.New("the container's files cannot be looked at without its mounts")

// Unclear is an error about a path of which the files do not tell what Docker Engine, or a runtime, finds there.
type Unclear struct{ Path, Why string }

func (e *Unclear) Error() string { return e.Path + " " + e.Why }

// Rootfs has the files of a container.
type Rootfs struct{ layers []*os.Root } // uppermost first

// Open returns the files of a container. The caller closes them.
func Open(of container.InspectResponse) (Rootfs, error) {
	if of.ContainerJSONBase == nil || of.GraphDriver.Name != "overlay2" || of.GraphDriver.Data["UpperDir"] == "" {
		return Rootfs{}, ErrNotHere
	}
	var files Rootfs
	for _, dir := range append([]string{of.GraphDriver.Data["UpperDir"]}, strings.Split(of.GraphDriver.Data["LowerDir"], ":")...) {
		layer, err := os.OpenRoot(dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrNotHere, err)
		}
		if err != nil {
			files.Close()
			return Rootfs{}, err
		}
		files.layers = append(files.layers, layer)
	}
	return files, nil
}

// Close closes them.
func (r Rootfs) Close() {
	for _, layer := range r.layers {
		layer.Close()
	}
}

// Limits of the way to a file. An image may have links of many names, through many directories, in many layers.
const (
	maxSteps = 255     // names that Docker Engine goes through, those of links included
	maxOpens = 1 << 17 // directories of layers that are opened, which takes a second or two. A usual image needs a thousand
)

// walk is the way to a file.
type walk struct {
	ctx    context.Context
	path   string
	layers []*os.Root
	opens  int
}

// Stat returns what is at a path. It follows all links as Docker Engine does, to which a name that is not there is no hindrance,
// and fails with fs.ErrNotExist where nothing is. A way through a directory of the kernel's is Unclear, and one that is too long.
func (r Rootfs) Stat(ctx context.Context, name string) (fs.FileInfo, error) {
	w := &walk{ctx: ctx, path: name, layers: r.layers}
	at, rest := "/", strings.Split(name, "/")
	for steps := 0; len(rest) > 0; steps++ {
		if steps > maxSteps {
			return nil, &Unclear{name, "leads through too many links"}
		}
		next := path.Join(at, rest[0])
		rest = rest[1:]
		if OfKernel(next) {
			return nil, &Unclear{name, "leads to " + next + ", which is not the image's"}
		}
		target, err := w.readlink(next)
		switch {
		case err != nil:
			return nil, err
		case target == "":
			at = next
			continue
		case path.IsAbs(target):
			at = "/"
		}
		rest = slices.Concat(strings.Split(target, "/"), rest)
	}
	_, found, err := w.lookup(at)
	return found, err
}

// OfKernel tells whether a path is below a directory on which each container has file systems of the kernel's, whatever its
// image has there.
func OfKernel(name string) bool {
	return slices.ContainsFunc([]string{"/dev", "/proc", "/sys"}, func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") })
}

// readlink returns where a link leads, or "" for what is no link, or is not there.
func (w *walk) readlink(name string) (string, error) {
	layer, found, err := w.lookup(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil || found.Mode()&fs.ModeSymlink == 0:
		return "", err
	}
	return layer.Readlink(relative(name))
}

// relative makes a path of the container's one below the directory of a layer.
func relative(name string) string { return path.Join(".", name) }
