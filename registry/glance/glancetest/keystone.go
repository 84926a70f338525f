package glancetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Password is that of all users.
const Password = "right"

// Keystone knows users, and the projects that each is in. Its domain is Default.
type Keystone struct {
	*httptest.Server
	Lives time.Duration // of a token

	lock  sync.Mutex
	users map[string][]string // names of projects
	rules map[string][]map[string]string
	made  int
}

// NewKeystone returns one that ends with the test.
func NewKeystone(t *testing.T, users map[string][]string) *Keystone {
	k := &Keystone{users: users, rules: map[string][]map[string]string{}, Lives: time.Hour}
	k.Server = httptest.NewServer(k)
	t.Cleanup(k.Close)
	return k
}

// ProjectID returns the id of a project.
func ProjectID(name string) string { return fmt.Sprintf("%032x", name)[:32] }

// Tokens returns how many were made.
func (k *Keystone) Tokens() int {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.made
}

func (k *Keystone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.lock.Lock()
	defer k.lock.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/v3/auth/projects" {
		var all []any
		for _, name := range k.users[userOf(r.Header.Get("X-Auth-Token"))] {
			all = append(all, map[string]any{"id": ProjectID(name), "name": name, "domain_id": "default", "enabled": true})
		}
		json.NewEncoder(w).Encode(map[string]any{"projects": all})
		return
	}
	k.token(w, r)
}

// Restrict gives a user's next tokens access rules, as those of an application credential have.
func (k *Keystone) Restrict(user string, rules ...map[string]string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.rules[user] = rules
}

// userOf returns whose token it is: NUMBER USER.
func userOf(token string) string {
	_, user, _ := strings.Cut(token, " ")
	return user
}

func (k *Keystone) token(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct{ Name, Password string }
				}
				Token struct{ ID string }
			}
			Scope struct{ Project struct{ ID string } }
		}
	}
	json.NewDecoder(r.Body).Decode(&asked)
	user := asked.Auth.Identity.Password.User.Name
	if user != "" && asked.Auth.Identity.Password.User.Password != Password {
		user = ""
	}
	if user == "" {
		user = userOf(asked.Auth.Identity.Token.ID)
	}
	projects, ok := k.users[user]
	token := map[string]any{"expires_at": time.Now().Add(k.Lives).UTC().Format("2006-01-02T15:04:05.000000Z"), "user": map[string]any{"id": user, "name": user}}
	if rules, ok := k.rules[user]; ok {
		token["application_credential"] = map[string]any{"id": user, "name": user, "restricted": true, "access_rules": rules}
	}
	if id := asked.Auth.Scope.Project.ID; id != "" {
		i := slices.IndexFunc(projects, func(name string) bool { return ProjectID(name) == id })
		if ok = ok && i >= 0; ok {
			token["project"] = map[string]any{"id": id, "name": projects[i], "domain": map[string]any{"id": "default", "name": "Default"}}
			token["roles"] = []any{map[string]any{"name": "reader"}}
			token["catalog"] = []any{map[string]any{"type": "image", "endpoints": []any{}}}
		}
	}
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	k.made++
	w.Header().Set("X-Subject-Token", fmt.Sprintf("%d %s", k.made, user))
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"token": token})
}
