// Package registrytest has what tests of the registry share.
package registrytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// Write returns the name of a new file with the content.
func Write(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// WantError checks that an error contains the words, or that there is none if they are empty.
func WantError(t *testing.T, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("error %v, want one with %q", err, words)
	}
}

// Image returns an image of as many layers, each of as many random bytes.
func Image(t *testing.T, layerBytes, layers int64) v1.Image {
	t.Helper()
	image, err := random.Image(layerBytes, layers)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// Silent is a Reporter that keeps nothing.
type Silent struct{}

// Step implements registry.Reporter.
func (Silent) Step(string, ...any) {}
