package serve

import (
	"net/http"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/felixge/httpsnoop"
	"github.com/opencontainers/go-digest"

	"ndock/registry/glance"
)

// withReferrers serves GET /v2/NAME/referrers/DIGEST, which distribution lacks: it asks distribution for that manifest, and has
// package glance give the list of those that are about it. So logins and errors are those of any other manifest. An answer to a
// PUT says that the manifest is in such a list.
func withReferrers(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := parseRoute(prefix, r.URL.Path)
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		asked := &glance.Request{}
		switch {
		case at.kind == "referrers" && reads:
			if _, err := digest.Parse(at.reference); err != nil {
				errcode.ServeJSON(w, errcode.ErrorCodeDigestInvalid) // a client that is gone is no matter
				return
			}
			asked.Referrers, asked.ArtifactType = true, r.URL.Query().Get("artifactType")
			r = forManifest(r)
		case at.kind != "manifests" || r.Method != http.MethodPut:
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(withSubjects(w, asked), r.WithContext(asked.Context(r.Context())))
	})
}

// forManifest returns a request for the manifest of one for its referrers.
func forManifest(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	i := strings.LastIndex(r.URL.Path, "/referrers/")
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = r.URL.Path[:i]+"/manifests/"+r.URL.Path[i+len("/referrers/"):], "", ""
	r.Header.Del("If-None-Match")
	return r
}

// withSubjects has an answer say what it has to do with the subject of a manifest.
func withSubjects(w http.ResponseWriter, asked *glance.Request) http.ResponseWriter {
	header := func() {
		if asked.Subject != "" {
			w.Header().Set("OCI-Subject", asked.Subject.String())
		}
		if asked.Referrers {
			w.Header().Del("Docker-Content-Digest") // of the subject, and not of the list
			w.Header().Del("Etag")
		}
		if asked.ArtifactType != "" {
			w.Header().Set("OCI-Filters-Applied", "artifactType")
		}
	}
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(pass httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) {
				header()
				pass(status)
			}
		},
		Write: func(pass httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) {
				header()
				return pass(p)
			}
		},
	})
}
