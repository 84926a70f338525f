package serve

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/distribution/reference"
	"github.com/google/uuid"
)

// A route is what a request's path names.
type route struct {
	repository string
	kind       string // manifests, blobs, uploads, tags, referrers or catalog; empty for others
	reference  string // tag, digest or the upload's id
}

var routePattern = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs/uploads|blobs|tags|referrers)/([^/]*)$`)

// parseRoute reads a path of a registry whose own paths begin after the prefix.
func parseRoute(prefix, path string) route {
	path = "/" + strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(prefix, "/")), "/")
	if path == "/v2/_catalog" {
		return route{kind: "catalog"}
	}
	found := routePattern.FindStringSubmatch(path)
	if found == nil {
		return route{}
	}
	return route{repository: found[1], kind: strings.TrimPrefix(found[2], "blobs/"), reference: found[3]}
}

// attrs returns the route's attributes for the log.
func (r route) attrs() []any {
	var attrs []any
	if r.repository != "" {
		attrs = append(attrs, "repository", r.repository)
	}
	switch {
	case r.reference == "" || r.kind == "tags" || r.kind == "uploads":
		return attrs
	case strings.Contains(r.reference, ":"):
		return append(attrs, "digest", r.reference)
	}
	return append(attrs, "tag", r.reference)
}

// upload returns whether the route names a valid upload. It is checked because it becomes a path of the storage.
func (r route) upload() bool {
	_, badName := reference.WithName(r.repository)
	_, badID := uuid.Parse(r.reference)
	return r.kind == "uploads" && badName == nil && badID == nil
}

// stores returns whether the request stores something in the registry.
func stores(r *http.Request) bool {
	return r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch
}
