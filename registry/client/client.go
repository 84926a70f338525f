// Package client works with images in any registry, of ndock or not, by the API of OCI: it lists, shows and deletes
// them.
package client

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxRequests is how many requests are sent to a registry at a time.
const maxRequests = 8

// Registry is a registry, and how to talk to it.
type Registry struct {
	Address   string          // HOST:PORT
	PlainHTTP bool            // where TLS is not answered
	Options   []remote.Option // who asks, and what he trusts
}

// Image is what has a tag or a digest in a repository: an image for one platform, or an index of several.
type Image struct {
	Repository string
	Tag        string // empty where it was asked for by digest
	Digest     string
	MediaType  string
	Platforms  []string
	Size       int64 // of all that a client would fetch, each blob once; of an index, for all platforms that were looked at
	Created    time.Time

	// Damage is what is wrong with what the registry has stored of it, and Failure why the registry cannot say; both are
	// set by List alone. All but the names is empty then.
	Damage, Failure error

	// These are set by Show alone.
	Layers     []Part // of an image
	Manifests  []Part // of an index, the first ones
	Entrypoint []string
	Command    []string
}

// Part is a layer of an image, or an image of an index.
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

// clean returns false for a name such as ../web, which would lead to another path on the server.
func clean(repository string) bool { return path.Clean("/"+repository) == "/"+repository }

// ParseExact reads a reference with a tag or a digest.
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
