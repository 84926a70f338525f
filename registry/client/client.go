// Package contents is what a client sees in a registry, by the API of OCI: repositories, tags, images. It looks at any
// registry, ndock's or not.
package client

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// atOnce is how many requests a registry is asked to answer at the same time.
const atOnce = 8

// Registry is one, and how to talk to it.
type Registry struct {
	Address   string          // HOST:PORT
	PlainHTTP bool            // where TLS is not answered
	Options   []remote.Option // who asks, and what he trusts
}

// Image is what has a tag or a digest in a repository: for one platform, or an index of several.
type Image struct {
	Repository string
	Tag        string // empty where it was asked for by digest
	Digest     string
	MediaType  string
	Platforms  []string
	Size       int64 // of all that a client would fetch, each blob once; of an index, for all platforms
	Created    time.Time

	// Damage is what is wrong with what the registry has stored of it, and Failure why the registry cannot say; both are
	// set by List alone. All but the names is empty then.
	Damage, Failure error

	Layers     []Part // of an image
	Manifests  []Part // of an index
	Entrypoint []string
	Command    []string
}

// Part is one of those that an image is put together of.
type Part struct {
	Digest   string
	Size     int64
	Platform string // of an index's manifests
}

// Parse reads REPOSITORY[:TAG|@DIGEST], with or without the registry's address before it.
func (r Registry) Parse(text string) (name.Reference, error) {
	parsed, err := name.ParseReference(r.Address+"/"+strings.TrimPrefix(text, r.Address+"/"), r.naming()...)
	if err != nil || !clean(parsed.Context().RepositoryStr()) {
		return nil, fmt.Errorf("%q is not REPOSITORY:TAG or REPOSITORY@DIGEST", text)
	}
	return parsed, nil
}

// clean is false for ../web, which names something else on the way to a server.
func clean(repository string) bool { return path.Clean("/"+repository) == "/"+repository }

// ParseExact reads a reference in which a tag or a digest stands.
func (r Registry) ParseExact(text string) (name.Reference, error) {
	parsed, err := r.Parse(text)
	if tag, ok := parsed.(name.Tag); ok && !strings.HasSuffix(text, ":"+tag.TagStr()) {
		return nil, fmt.Errorf("%q has neither a tag nor a digest", text)
	}
	return parsed, err
}

func (r Registry) naming() []name.Option {
	if r.PlainHTTP {
		return []name.Option{name.Insecure}
	}
	return nil
}

func (r Registry) short(ref name.Reference) string {
	return strings.TrimPrefix(ref.Name(), ref.Context().RegistryStr()+"/")
}
