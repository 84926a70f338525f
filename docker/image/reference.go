// Package image moves Docker images between the places that hold them: an engine, a registry, archives and layouts on
// disk, a stream, Glance. Places are named as skopeo names them (containers-transports(5)).
//
//	ParseReference ─► Places.Find ─► Source ─┬─ Archive: the image as one Docker archive, while it flows
//	                                         └─ parts:   manifest, configuration and layers, each by its digest
//	                  Places.Store ◄─────────┘
//
// Nothing is held in memory but descriptions, and nothing is written to disk on the way but a layer in zstd, xz or
// bzip2 for an engine that cannot read it.
package image

import (
	"errors"
	"fmt"
	"strings"
)

// Transport is a kind of place.
type Transport string

// The transports. Stream is stdin as a source, and stdout as a destination.
const (
	Engine        Transport = "docker-daemon"
	Registry      Transport = "docker"
	DockerArchive Transport = "docker-archive"
	OCILayout     Transport = "oci"
	OCIArchive    Transport = "oci-archive"
	Glance        Transport = "glance"
	Stream        Transport = "-"
)

// Reference is where an image is.
type Reference struct {
	Transport Transport
	Path      string // of a file or directory
	Name      string // in the engine, the registry, Glance; or which image of several at the path
}

// ParseReference reads docker://HOST/REPOSITORY:TAG[@DIGEST], docker-daemon:NAME, docker-archive:FILE[:NAME],
// oci:DIR[:TAG], oci-archive:FILE[:TAG], glance:IMAGE and "-". What has none of these before it is an image of the
// engine.
func ParseReference(text string) (Reference, error) {
	if text == "-" {
		return Reference{Transport: Stream}, nil
	}
	prefix, rest, found := strings.Cut(text, ":")
	if !found {
		return engineReference(text)
	}
	switch transport := Transport(prefix); transport {
	case Registry: // or an image of the engine that is called docker
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

// engineReference refuses what cannot be a name in an engine, and is meant to be another place: a path, or a transport of
// skopeo's that is not known here. Only a port may stand between a colon and a slash.
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

// String is what ParseReference reads; of the engine's images, what docker calls them.
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

// OwnName returns what the image is called where it is: a name, or for files FILE or FILE:NAME. A stream has none.
func (r Reference) OwnName() string {
	switch {
	case r.Path == "":
		return r.Name
	case r.Name == "":
		return r.Path
	}
	return r.Path + ":" + r.Name
}
