package serve

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/gorilla/mux"
)

func TestParseRoute(t *testing.T) {
	for _, one := range []struct {
		prefix, path string
		want         route
	}{
		{"", "/v2/", route{}},
		{"", "/v2/_catalog", route{kind: "catalog"}},
		{"", "/v2/site/app/manifests/1", route{"site/app", "manifests", "1"}},
		{"", "/v2/app/manifests/sha256:ab", route{"app", "manifests", "sha256:ab"}},
		{"", "/v2/app/blobs/sha256:ab", route{"app", "blobs", "sha256:ab"}},
		{"", "/v2/app/blobs/uploads/", route{"app", "uploads", ""}},
		{"", "/v2/blobs/uploads/blobs/uploads/id", route{"blobs/uploads", "uploads", "id"}},
		{"", "/v2/app/tags/list", route{"app", "tags", "list"}},
		{"/images/", "/images/v2/app/manifests/1", route{"app", "manifests", "1"}},
		{"/images", "/v3/app/manifests/1", route{}},
	} {
		if got := parseRoute(one.prefix, one.path); got != one.want {
			t.Errorf("%s%s is %+v, want %+v", one.prefix, one.path, got, one.want)
		}
	}
}

// FuzzParseRoute checks that a route is the end of its path, the same behind any prefix, and what distribution finds.
func FuzzParseRoute(f *testing.F) {
	f.Add("/", "/v2/app/manifests/1")
	f.Add("/images/", "/v2/blobs/uploads/blobs/uploads/id")
	f.Add("", "/v2/app/blobs/sha256:ab")
	f.Add("x", "v2/a/tags/list/referrers/")
	f.Add("/v2", "/v2/app/manifests/a/b")
	f.Fuzz(func(t *testing.T, prefix, path string) {
		found := parseRoute("", path)
		if behind := parseRoute(prefix, strings.TrimSuffix(prefix, "/")+path); behind != found {
			t.Errorf("%q is %+v, and behind %q %+v", path, found, prefix, behind)
		}
		if found != (route{}) && !strings.HasSuffix("/"+path, found.path()) || strings.Contains(found.reference, "/") {
			t.Errorf("%q is %+v", path, found)
		}
		if want, known := routeOfDistribution(path); known && found != want {
			t.Errorf("%q is %+v, and for distribution %+v", path, found, want)
		}
		if attrs := found.attrs(); len(attrs)%2 != 0 || (len(attrs) == 0) != (found.kind == "") {
			t.Errorf("%q is logged with %q", path, attrs)
		}
	})
}

// path returns the path that the route was read of.
func (r route) path() string {
	kind := r.kind
	if kind == "uploads" {
		kind = "blobs/uploads"
	}
	return "/v2/" + r.repository + "/" + kind + "/" + r.reference
}

// routeOfDistribution returns what distribution finds in a path, if it names something in a repository and is not redirected.
func routeOfDistribution(path string) (found route, known bool) {
	var match mux.RouteMatch
	if !v2.Router().Match(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}}, &match) || match.Vars["name"] == "" || match.Handler != nil {
		return route{}, false
	}
	found.repository = match.Vars["name"]
	switch match.Route.GetName() {
	case v2.RouteNameManifest:
		found.kind, found.reference = "manifests", match.Vars["reference"]
	case v2.RouteNameBlob:
		found.kind, found.reference = "blobs", match.Vars["digest"]
	case v2.RouteNameTags:
		found.kind, found.reference = "tags", "list"
	default:
		found.kind, found.reference = "uploads", match.Vars["uuid"]
	}
	return found, true
}
