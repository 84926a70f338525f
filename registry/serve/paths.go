package serve

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// takeHeaders takes the headers of all answers out of the configuration: distribution would set them only on its own.
func takeHeaders(c *configuration.Configuration) http.Header {
	taken := http.Header{}
	for name, values := range c.HTTP.Headers {
		taken[http.CanonicalHeaderKey(name)] = values
	}
	c.HTTP.Headers = nil
	return taken
}

// withHeaders sets these headers on each answer, and answers the OPTIONS request of a browser. Browsers send that
// without a login, so it gets the headers and nothing else.
func withHeaders(prefix string, headers http.Header, next http.Handler) http.Handler {
	root := strings.TrimSuffix(prefix, "/") + "/v2/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), headers.Clone())
		if r.Method == http.MethodOptions && headers.Get("Access-Control-Allow-Origin") != "" && strings.HasPrefix(r.URL.Path, root) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var (
	pagePattern  = regexp.MustCompile(`^[A-Za-z0-9._/-]{0,255}$`)  // at which name a page of the catalog begins
	rangePattern = regexp.MustCompile(`^[0-9]{1,18}-[0-9]{1,18}$`) // which bytes of an upload a request sends
)

// checkPaths refuses a request with an impossible name. Distribution would answer 404 without an error body, or 500
// with a path of the storage.
func checkPaths(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := parseRoute(prefix, path.Clean(r.URL.Path))
		if why := impossible(r, at); why != nil {
			errcode.ServeJSON(w, why) // a client that is gone is no matter
			return
		}
		if at.kind == "manifests" && !stores(r) {
			acceptAll(r)
		}
		next.ServeHTTP(w, r)
	})
}

// impossible returns what is wrong with the names in a request; nil for nothing.
func impossible(r *http.Request, at route) error {
	if at.repository != "" {
		if _, err := reference.WithName(at.repository); err != nil {
			return errcode.ErrorCodeNameInvalid.WithMessage(fmt.Sprintf("no repository can have this name: %v", err))
		}
	}
	sent := r.Header.Get("Content-Range")
	switch {
	case !pagePattern.MatchString(r.URL.Query().Get("last")):
		return errcode.ErrorCodeNameInvalid.WithMessage("no page begins after this name")
	case sent != "" && stores(r) && !rangePattern.MatchString(sent):
		return errcode.ErrorCodeRangeInvalid.WithMessage("the Content-Range of a part of an upload is FIRST-LAST")
	case at.kind == "manifests" && r.Method == http.MethodPut && strings.Contains(at.reference, ":") && !strings.HasPrefix(at.reference, string(digest.Canonical)+":"):
		return errcode.ErrorCodeDigestInvalid.WithMessage("this registry knows manifests by their sha256 digests only: push it by a tag, or by that")
	}
	return nil
}

// acceptAll adds all kinds of manifests to the request of a client that takes any kind, or names none. Distribution
// would answer 404.
func acceptAll(r *http.Request) {
	said := strings.Join(r.Header.Values("Accept"), ",")
	for one := range strings.SplitSeq(said, ",") {
		kind, _, err := mime.ParseMediaType(one)
		if said == "" || err == nil && (kind == "*/*" || kind == "application/*") {
			r.Header["Accept"] = append(r.Header["Accept"], distribution.ManifestMediaTypes()...)
			return
		}
	}
}
