package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ndock/docker"
	"ndock/docker/archive"
)

// findLayout looks into an OCI layout, a directory.
func (p Places) findLayout(r Reference) (*Source, error) {
	op := fmt.Sprintf("image %q", r)
	index, err := layout.ImageIndexFromPath(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is no OCI layout: %w", r.Path, err)}
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, &docker.Error{Op: op, Err: fmt.Errorf("%q is a file", r.Path), Tip: "oci-archive:" + r.Path + " or docker-archive:" + r.Path + " reads an archive"}
	}
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	if linked(r.Path) {
		return p.linkedLayout(r), nil
	}
	image, platform, err := p.chooseFrom(index, r.Name)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	source, err := p.fromParts(r, image, platform)
	if err != nil {
		return nil, &docker.Error{Op: op, Err: err}
	}
	return source, nil
}

// linked tells whether a layout's blobs are symbolic links, as Bazel's rules make them: the library does not follow these.
func linked(dir string) bool {
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	return err == nil && slices.ContainsFunc(blobs, func(blob string) bool {
		info, err := os.Lstat(blob)
		return err == nil && info.Mode().Type() == os.ModeSymlink
	})
}

// linkedLayout reads a layout as an archive of it is read, in which each blob is compared with its name.
func (p Places) linkedLayout(r Reference) *Source {
	source := &Source{Reference: r, checks: p.checks(), open: func(ctx context.Context) (io.ReadCloser, error) {
		out, into := io.Pipe()
		go func() { into.CloseWithError(packLayout(ctx, into, r.Path)) }()
		return out, nil
	}}
	source.checks.Choose = r.Name
	return source
}

// packLayout writes a layout as a tar, with the files to which its links lead.
func packLayout(ctx context.Context, into io.Writer, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	if err != nil {
		return err
	}
	w := tar.NewWriter(into)
	for _, file := range append(files, filepath.Join(dir, ocispec.ImageLayoutFile), filepath.Join(dir, ocispec.ImageIndexFile)) {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if err := packFile(w, filepath.ToSlash(name), file); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return w.Close()
}

func packFile(w *tar.Writer, name, file string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is no file", file)
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.CopyN(w, from, info.Size())
	return err
}

// chooseFrom goes from an index down to one image: by name at the top, by platform where there are several. It returns what
// the index says of the platform.
func (p Places) chooseFrom(index v1.ImageIndex, tag string) (v1.Image, archive.Platform, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, archive.Platform{}, err
	}
	fitting := p.best(p.fitting(manifest.Manifests, tag))
	if len(fitting) != 1 {
		return nil, archive.Platform{}, fmt.Errorf("it holds %d images that are meant, of %d; name one by its tag, and --platform", len(fitting), len(manifest.Manifests))
	}
	if !fitting[0].MediaType.IsIndex() {
		image, err := index.Image(fitting[0].Digest)
		return image, platformOf(fitting[0]), err
	}
	inner, err := index.ImageIndex(fitting[0].Digest)
	if err != nil {
		return nil, archive.Platform{}, err
	}
	return p.chooseFrom(inner, "")
}

// best leaves of several for the platform the one of its very variant, as of amd64 and amd64/v3 the first.
func (p Places) best(fitting []v1.Descriptor) []v1.Descriptor {
	return archive.Exact(fitting, func(one v1.Descriptor) bool { return platformOf(one).Variant == p.Platform.Variant })
}

func platformOf(one v1.Descriptor) archive.Platform {
	if one.Platform == nil {
		return archive.Platform{}
	}
	return archive.Platform{OS: one.Platform.OS, Architecture: one.Platform.Architecture, Variant: one.Platform.Variant}
}

func (p Places) fitting(all []v1.Descriptor, tag string) []v1.Descriptor {
	var fitting []v1.Descriptor
	for _, one := range all {
		if tag != "" && !archive.Called(one.Annotations, tag) {
			continue
		}
		if len(all) > 1 && one.Platform != nil && !p.Platform.Matches(platformOf(one)) {
			continue
		}
		if !slices.ContainsFunc(fitting, func(other v1.Descriptor) bool { return other.Digest == one.Digest }) { // it may have several names
			fitting = append(fitting, one)
		}
	}
	return fitting
}
