package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry/config"
	"ndock/registry/storage"
)

func TestManifestBodies(t *testing.T) {
	m := newManifestBodies(time.Millisecond, time.Minute)
	var leave []func()
	for range maxManifestBytesOfGroup / storage.MaxManifest {
		end, why := m.enter(t.Context(), "many", -1)
		if why != nil {
			t.Fatal(why)
		}
		leave = append(leave, end)
	}
	if _, why := m.enter(t.Context(), "many", smallManifest+1); why == nil || why.Status != http.StatusServiceUnavailable || why.RetryAfter == 0 {
		t.Errorf("who sends too many is told %v", why)
	}
	for i := range (maxManifestBytes - maxManifestBytesOfGroup) / storage.MaxManifest {
		end, why := m.enter(t.Context(), fmt.Sprint(i), storage.MaxManifest)
		if why != nil {
			t.Fatal(why)
		}
		leave = append(leave, end)
	}
	if _, why := m.enter(t.Context(), "other", smallManifest+1); why == nil {
		t.Error("all together take more than they may")
	}
	for _, group := range []string{"many", "other"} {
		end, why := m.enter(t.Context(), group, smallManifest)
		if why != nil {
			t.Fatalf("a small one of %s waits for large ones: %v", group, why)
		}
		leave = append(leave, end)
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

// A project has one share, whichever of its names its repositories are called by.
func TestProjectsByAnyName(t *testing.T) {
	names, heard := &projectNames{}, ""
	logins := configuration.Parameters{"project": func(id, name string) { heard = id + " " + name }}
	names.hear(logins)
	logins["project"].(func(id, name string))("0a1b", "web-team")
	if heard != "0a1b web-team" {
		t.Errorf("who heard of projects before hears %q", heard)
	}
	for repository, want := range map[string]string{"web-team/site/web": "0a1b", "0a1b/web": "0a1b", "other/web": "other", "web": "web"} {
		if got := names.group(repository); got != want {
			t.Errorf("%s is of %s, want %s", repository, got, want)
		}
	}
}

// A manifest that does not come is waited for until it must have come, and no longer, even where a read may take more time.
func TestManifestThatDoesNotCome(t *testing.T) {
	for _, begun := range []string{"", "{"} {
		l := &limits{stall: time.Hour, store: inGlance{}, names: &projectNames{}, memory: newManifestBodies(time.Hour, 200*time.Millisecond)}
		server := httptest.NewServer(bounded(l.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})), time.Second))
		defer server.Close()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "PUT /v2/app/manifests/1 HTTP/1.1\r\nHost: registry\r\nContent-Length: 100\r\n\r\n%s", begun)
		answer := readAnswer(t, bufio.NewReader(conn))
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), errManifestTooLate.Message) {
			t.Errorf("after %q: %s: %s", begun, answer.Status, body)
		}
	}
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
