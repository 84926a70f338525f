package control

import (
	"bytes"
	"testing"

	"ndock/registry/internal/registrytest"
)

// Whatever a registry answers, following it ends.
func FuzzFollow(f *testing.F) {
	f.Add([]byte(`{"step":"one"}` + "\n" + `{"freed":{"blobs":1}}`))
	f.Add([]byte(`{"error":"no","hint":"try"}`))
	f.Add([]byte(`{"step":"%d"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		_, err := follow(bytes.NewReader(answer), registrytest.Silent{})
		if err == nil && !bytes.Contains(bytes.ToLower(answer), []byte("freed")) {
			t.Errorf("%q is a success", answer)
		}
	})
}
