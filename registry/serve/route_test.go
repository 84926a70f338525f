package serve

import "testing"

func TestParseRoute(t *testing.T) {
	for _, one := range []struct {
		prefix, path string
		want         route
	}{
		{"", "/v2/", route{}},
		{"", "/v2/_catalog", route{}},
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

func FuzzParseRoute(f *testing.F) {
	f.Add("/", "/v2/app/manifests/1")
	f.Fuzz(func(t *testing.T, prefix, path string) { parseRoute(prefix, path).attrs() })
}
