// Package image copies Docker images between an engine, a registry, archives and layouts on disk, a stream and Glance.
// Images are named as skopeo names them (containers-transports(5)).
//
//	ParseReference ─► Transports.Find ─► Source ─┬─ Archive: the image as one Docker archive, in a stream
//	                                             └─ layered: manifest, configuration and layers, each by its digest
//	                  Transports.Store ◄─────────┘
//
// It keeps only manifests and configurations in memory. It writes a temporary file only for a layer in zstd, xz or
// bzip2, for an engine that cannot read it, and for an oci-archive.
package image

import (
	"errors"
	"fmt"
	"strings"
)

// Transport is a kind of place that holds images.
type Transport string

// The transports. Stream is stdin for a source and stdout for a destination.
const (
	Engine        Transport = "docker-daemon"
	Registry      Transport = "docker"
	DockerArchive Transport = "docker-archive"
	OCILayout     Transport = "oci"
	OCIArchive    Transport = "oci-archive"
	Glance        Transport = "glance"
	Stream        Transport = "-"
)

// Reference says where an image is.
type Reference struct {
	Transport Transport
	Path      string // file or directory
	Name      string // in the engine, the registry or Glance; or selects one of several images at Path
}

// ParseReference reads docker://HOST/REPOSITORY:TAG[@DIGEST], docker-daemon:NAME, docker-archive:FILE[:NAME],
// oci:DIR[:TAG], oci-archive:FILE[:TAG], glance:IMAGE and "-". Anything else is an image in the engine.
func ParseReference(text string) (Reference, error) {
	if text == "-" {
		return Reference{Transport: Stream}, nil
	}
	prefix, rest, found := strings.Cut(text, ":")
	if !found {
		return engineReference(text)
	}
	switch transport := Transport(prefix); transport {
	case Registry: // or an image in the engine that is called docker
		name, slashes := strings.CutPrefix(rest, "//")
		if scheme, address, found := strings.Cut(name, "://"); slashes && found {
			return Reference{}, fmt.Errorf("%q: a registry's name has no %s:// before it: write docker://%s, with --insecure for plain HTTP", text, scheme, address)
		}
		if slashes {
			return named(transport, name)
		}
		return engineReference(text)
	case Engine, Glance:
		return named(transport, rest)
	case DockerArchive, OCILayout, OCIArchive:
		path, name, _ := strings.Cut(rest, ":")
		if path == "" {
			return Reference{}, fmt.Errorf("%q names no file", text)
		}
		return Reference{Transport: transport, Path: path, Name: name}, nil
	}
	return engineReference(text)
}

// engineReference refuses what cannot be the name of an image in an engine: a path, or an unknown transport of
// skopeo. Only a port may stand between a colon and a slash.
func engineReference(text string) (Reference, error) {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
		return Reference{}, fmt.Errorf("%q is a path, and no image of the engine: write docker-archive:%s, or oci:%s for a layout", text, text, text)
	}
	prefix, rest, _ := strings.Cut(text, ":")
	port, _, path := strings.Cut(rest, "/")
	if path && !strings.ContainsAny(prefix, "/[") && (port == "" || strings.Trim(port, "0123456789") != "") {
		return Reference{}, fmt.Errorf("%q: there is no transport %s; there are docker://, docker-daemon:, docker-archive:, oci:, oci-archive:, glance: and - for a stream", text, prefix)
	}
	return named(Engine, text)
}

func named(transport Transport, name string) (Reference, error) {
	if name == "" {
		return Reference{}, errors.New("an image has no name")
	}
	return Reference{Transport: transport, Name: name}, nil
}

// String returns the form that ParseReference reads; for an image in the engine, its name.
func (r Reference) String() string {
	switch r.Transport {
	case Stream:
		return "-"
	case Engine:
		return r.Name
	case Registry:
		return "docker://" + r.Name
	case Glance:
		return "glance:" + r.Name
	}
	if r.Name == "" {
		return string(r.Transport) + ":" + r.Path
	}
	return string(r.Transport) + ":" + r.Path + ":" + r.Name
}

// OwnName returns the name of the image at its place: a name, or FILE or FILE:NAME for files. For a stream it is
// empty.
func (r Reference) OwnName() string {
	switch {
	case r.Path == "":
		return r.Name
	case r.Name == "":
		return r.Path
	}
	return r.Path + ":" + r.Name
}
