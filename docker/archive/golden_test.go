package archive

import "testing"

// plainImage is an image whose layers are stored plain, so that its bytes do not depend on how Go compresses.
func plainImage(t testing.TB, architecture string, names ...string) (Composed, storedLayers) {
	t.Helper()
	var plain [][]byte
	for _, name := range names {
		plain = append(plain, files(t, name))
	}
	return composedFor(t, architecture, plain, plain)
}

// TestComposeIsStable: an image that is pushed again becomes the same bytes as with the ndock before.
func TestComposeIsStable(t *testing.T) {
	image, _ := plainImage(t, "amd64", "one", "two", "one")
	allOut := image
	allOut.Open = nil
	typed := image.without(1, 3)
	typed.Layers[1].MediaType = "application/vnd.oci.image.layer.v1.tar"
	none, _ := plainImage(t, "amd64")
	for name, c := range map[string]struct {
		image Composed
		want  string
	}{
		"whole":          {image, "sha256:3abd123055343d515db22728e9dd8581efaf0a8c9158f5d2b97012aaf90a3e7c"},
		"one left out":   {image.without(2), "sha256:3c12855c1918c219ae3a8a58141a03168edbac00071b615547c902824d521acd"},
		"two left out":   {typed, "sha256:e7bcbf5e16db61628f9db0584eab7092895ea425422a53deb21e11c3607bd54b"},
		"all left out":   {allOut, "sha256:530642c80a366b0ba6188b0391db688b41876eb7e25ea28ce0393d301173cd10"},
		"without layers": {none, "sha256:cf782d44ac8536ba21922d447ceeb2f367ec009e9b63585c8363272eeee5a7ae"},
	} {
		if got := sumOf(compose(t, c.image)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
