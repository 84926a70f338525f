package clouds

import "testing"

// TestEndpointForms: catalogues have a service's endpoint with and without its version, a path, a project, a slash.
func TestEndpointForms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ service, url, want string }{
		{"image", "http://h:9292", "http://h:9292/"},
		{"image", "http://h:9292/v2/", "http://h:9292/"},
		{"image", "https://h/image", "https://h/image/"},
		{"image", "https://[2001:db8::1]:9292/v2", "https://[2001:db8::1]:9292/"},
		{"network", "http://h:9696/v2.0", "http://h:9696/"},
		{"network", "https://h/network/", "https://h/network/"},
		{"compute", "http://h:8774", "http://h:8774/v2.1/"},
		{"compute", "http://h:8774/", "http://h:8774/v2.1/"},
		{"compute", "http://h:8774/v2", "http://h:8774/v2.1/"},
		{"compute", "http://h:8774/v2/0123abcd", "http://h:8774/v2.1/0123abcd/"},
		{"compute", "http://h:8774/v2.1/0123abcd/", "http://h:8774/v2.1/0123abcd/"},
		{"compute", "https://h/compute/v2.1", "https://h/compute/v2.1/"},
		{"compute", "https://h/v2cloud/compute", "https://h/v2cloud/compute/v2.1/"},
		{"placement", "https://h/placement", "https://h/placement/"},
		{"image", "", ""},
	} {
		if got := Versioned(test.service, test.url); got != test.want {
			t.Errorf("%s at %s: %s, want %s", test.service, test.url, got, test.want)
		}
	}
}
