package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ndock/registry/htpasswd"
)

// Logins of a registry in a container change while it serves, and survive another deployment.
func TestDeployedLogins(t *testing.T) {
	s := newSite(t)
	at := DeployedLogins(s.host())
	wantError(t, AddLogin(t.Context(), at, "ops", "other", s), `add login "ops": there is no registry on this host`)
	s.deploy()
	wantError(t, AddLogin(t.Context(), at, "ops", "other", s), `add login "ops": the registry lets in anyone`)
	s.options.User, s.options.Password = "ci", "secret"
	status := s.deploy()
	letsIn := func(user, password string, want int) {
		t.Helper()
		if got := s.login(status.URL, user, password); got != want {
			t.Errorf("%s with %s: %d, want %d", user, password, got, want)
		}
	}
	letsIn("ops", "other", http.StatusUnauthorized)
	if err := AddLogin(t.Context(), at, "ops", "other", s); err != nil {
		t.Fatal(err)
	}
	letsIn("ops", "other", http.StatusOK)
	letsIn("ci", "secret", http.StatusOK)
	if err := AddLogin(t.Context(), at, "ops", "other", s); err != nil || !s.said("ops has this password already; nothing to do") {
		t.Errorf("%v; it said %v", err, s.steps)
	}
	if err := AddLogin(t.Context(), at, "ops", "newer", s); err != nil {
		t.Fatal(err)
	}
	letsIn("ops", "other", http.StatusUnauthorized)
	letsIn("ops", "newer", http.StatusOK)
	s.options.User, s.options.Password = "", ""
	if after := s.deploy(); !slices.Equal(after.Users, []string{"ci", "ops"}) || s.engine.made != 2 {
		t.Errorf("users are %v, %d containers were made", after.Users, s.engine.made)
	}
	if err := RemoveLogin(t.Context(), at, "ci", s); err != nil {
		t.Fatal(err)
	}
	letsIn("ci", "secret", http.StatusUnauthorized)
	if err := RemoveLogin(t.Context(), at, "ci", s); err != nil || !s.said("ci cannot log in; nothing to do") {
		t.Errorf("%v; it said %v", err, s.steps)
	}
	wantError(t, RemoveLogin(t.Context(), at, "ops", s), `remove login "ops": it is the last one`)
	letsIn("ops", "newer", http.StatusOK)
}

func TestLoginFile(t *testing.T) {
	var said said
	dir := t.TempDir()
	file, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := os.Symlink("users", link); err != nil {
		t.Fatal(err)
	}
	if err := AddLogin(t.Context(), LoginFile(file), "ci", "secret", &said); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	if err := AddLogin(t.Context(), LoginFile(link), "ops", "other", &said); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if info, _ := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink || !slices.Equal(htpasswd.Users(text), []string{"ci", "ops"}) {
		t.Errorf("%s, %v, %v", text, info, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	wantError(t, AddLogin(t.Context(), LoginFile(write(t, []byte("secret"))), "ci", "x", &said), `add login "ci": read the logins that are there: line 1 is not USER:HASH`)
	wantError(t, RemoveLogin(t.Context(), LoginFile(dir), "ci", &said), "is a directory")
	wantError(t, AddLogin(t.Context(), LoginFile(filepath.Join(dir, "no/users")), "ci", "x", &said), "no such file")
}

// said is what a Reporter heard.
type said []string

func (s *said) Step(format string, args ...any) { *s = append(*s, format) }

func (s *site) login(url, user, password string) int {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, strings.Replace(url, "localhost", "127.0.0.1", 1)+"/v2/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	client := (&deployment{DeployOptions: s.options, at: mustParse(s.t, s.options.Listen), files: s.configured()}).client()
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func mustParse(t *testing.T, listen string) address {
	t.Helper()
	at, err := parseAddress(listen)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
