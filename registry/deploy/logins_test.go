package deploy

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

// Logins of a registry in a container change while it serves, and survive another deployment.
func TestDeployedLogins(t *testing.T) {
	s := newSite(t)
	at := Logins(s.host())
	registrytest.WantError(t, htpasswd.AddLogin(t.Context(), at, "ops", "other", s), `add login "ops": there is no registry on this host`)
	s.deploy()
	registrytest.WantError(t, htpasswd.AddLogin(t.Context(), at, "ops", "other", s), `add login "ops": the registry lets in anyone`)
	s.options.User, s.options.Password = "ci", "secret"
	status := s.deploy()
	letsIn := func(user, password string, want int) {
		t.Helper()
		if got := s.login(status.URL, user, password); got != want {
			t.Errorf("%s with %s: %d, want %d", user, password, got, want)
		}
	}
	letsIn("ops", "other", http.StatusUnauthorized)
	if err := htpasswd.AddLogin(t.Context(), at, "ops", "other", s); err != nil {
		t.Fatal(err)
	}
	letsIn("ops", "other", http.StatusOK)
	letsIn("ci", "secret", http.StatusOK)
	if err := htpasswd.AddLogin(t.Context(), at, "ops", "other", s); err != nil || !s.said("ops has this password already; nothing to do") {
		t.Errorf("%v; it said %v", err, s.steps)
	}
	if err := htpasswd.AddLogin(t.Context(), at, "ops", "newer", s); err != nil {
		t.Fatal(err)
	}
	letsIn("ops", "other", http.StatusUnauthorized)
	letsIn("ops", "newer", http.StatusOK)
	s.options.User, s.options.Password = "", ""
	if after := s.deploy(); !slices.Equal(after.Users, []string{"ci", "ops"}) || s.engine.Made != 2 {
		t.Errorf("users are %v, %d containers were made", after.Users, s.engine.Made)
	}
	if err := htpasswd.RemoveLogin(t.Context(), at, "ci", s); err != nil {
		t.Fatal(err)
	}
	letsIn("ci", "secret", http.StatusUnauthorized)
	if err := htpasswd.RemoveLogin(t.Context(), at, "ci", s); err != nil || !s.said("ci cannot log in; nothing to do") {
		t.Errorf("%v; it said %v", err, s.steps)
	}
	registrytest.WantError(t, htpasswd.RemoveLogin(t.Context(), at, "ops", s), `remove login "ops": it is the last one`)
	letsIn("ops", "newer", http.StatusOK)
}

// slowImport is an engine with which something is done while it takes an image.
type slowImport struct {
	*registryEngine
	meanwhile func()
}

// ImageImport implements Engine.
func (e slowImport) ImageImport(ctx context.Context, source image.ImportSource, ref string, o image.ImportOptions) (io.ReadCloser, error) {
	e.meanwhile()
	return e.registryEngine.ImageImport(ctx, source, ref, o)
}

// To make the image takes a while, in which logins may change.
func TestLoginsThatChangeWhileTheImageIsMade(t *testing.T) {
	s := newSite(t)
	s.options.User, s.options.Password = "ci", "secret"
	s.deploy()
	s.options.User, s.options.Password, s.options.Binary = "", "", fakeProgram(t, "newer")
	host := s.host()
	host.Engine = slowImport{s.engine, func() {
		if err := htpasswd.AddLogin(t.Context(), Logins(s.host()), "ops", "other", s); err != nil {
			t.Fatal(err)
		}
	}}
	after, err := Run(t.Context(), host, s.options)
	if err != nil || !slices.Equal(after.Users, []string{"ci", "ops"}) {
		t.Errorf("users are %v, %v", after.Users, err)
	}
}

func (s *site) login(url, user, password string) int {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, strings.Replace(url, "localhost", "127.0.0.1", 1)+"/v2/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	client := newClient(plan{at: mustParse(s.t, s.options.Listen), tls: s.options.mode(), files: s.configured()})
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func mustParse(t *testing.T, listen string) config.Address {
	t.Helper()
	at, err := config.ParseAddress(listen)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
