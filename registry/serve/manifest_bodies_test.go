package serve

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ndock/registry/config"
	"ndock/registry/storage"
)

func TestManifestBodies(t *testing.T) {
	m := newManifestBodies(time.Millisecond)
	var leave []func()
	for range maxManifestBytesOfGroup / storage.MaxManifest {
		end, why := m.enter(t.Context(), "many", -1)
		if why != nil {
			t.Fatal(why)
		}
		leave = append(leave, end)
	}
	if _, why := m.enter(t.Context(), "many", 100); why == nil || why.Status != http.StatusServiceUnavailable || why.RetryAfter == 0 {
		t.Errorf("who sends too many is told %v", why)
	}
	for i := range (maxManifestBytes - maxManifestBytesOfGroup) / storage.MaxManifest {
		end, why := m.enter(t.Context(), fmt.Sprint(i), storage.MaxManifest)
		if why != nil {
			t.Fatal(why)
		}
		leave = append(leave, end)
	}
	if _, why := m.enter(t.Context(), "other", 0); why == nil {
		t.Error("all together take more than they may")
	}
	for _, end := range leave {
		end()
	}
	end, why := m.enter(t.Context(), "many", -1)
	if why != nil {
		t.Fatal(why)
	}
	end()
}

// Each element of a manifest takes much more memory than text: such ones are refused before they are read.
func TestManifestsWithManyElements(t *testing.T) {
	manifest := []byte(`{"schemaVersion":2,"layers":[` + strings.Repeat("{},", 1_000_000) + `{}]}`)
	for where, s := range map[string]*served{"/v2/one/web": serveInGlance(t, config.Options{}).served, "/v2/web": serve(t, config.Options{})} {
		answer := s.do(t, http.MethodPut, where+"/manifests/1", manifest)
		if got := s.want(t, http.StatusBadRequest, answer); !strings.Contains(got, "MANIFEST_INVALID") || !strings.Contains(got, "too many elements") {
			t.Errorf("%s: %s", where, got)
		}
	}
}
