package fakecloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// What logs in: the users admin and demo with the password, and demo's application credential.
const (
	Password         = "secret"
	CredentialID     = "credential"
	CredentialSecret = "credential-secret"
)

// ProjectID is that of the only project.
const ProjectID = "d0000000000040008000000000000001"

type login struct {
	Auth struct {
		Identity struct {
			Password struct {
				User struct{ Name, Password string }
			}
			Token      struct{ ID string }
			Credential struct{ ID, Secret string } `json:"application_credential"`
		}
	}
}

func (c *Cloud) keystone(mux *http.ServeMux) {
	mux.HandleFunc("GET /placement/{$}", versions("v1.0"))
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		var asked login
		_ = json.NewDecoder(r.Body).Decode(&asked) // what cannot be read is nobody's login
		c.mu.Lock()
		defer c.mu.Unlock()
		user := c.user(asked)
		switch {
		case user == "" && asked.Auth.Identity.Token.ID != "":
			refuse(w, http.StatusNotFound, "Could not recognize Fernet token")
		case user == "":
			refuse(w, http.StatusUnauthorized, "The request you have made requires authentication.")
		default:
			w.Header().Set("X-Subject-Token", c.token(user))
			answer(w, http.StatusCreated, c.identity(user))
		}
	})
	mux.HandleFunc("GET /v3/auth/tokens", c.authenticated(func(w http.ResponseWriter, r *http.Request, user string) {
		w.Header().Set("X-Subject-Token", r.Header.Get("X-Subject-Token"))
		answer(w, http.StatusOK, c.identity(user))
	}))
}

func (c *Cloud) user(asked login) string {
	identity := asked.Auth.Identity
	switch by := identity.Password.User; {
	case identity.Token.ID != "":
		return c.tokens[identity.Token.ID]
	case identity.Credential.ID == CredentialID && identity.Credential.Secret == CredentialSecret:
		return "demo"
	case by.Password == Password && (by.Name == "admin" || by.Name == "demo"):
		return by.Name
	}
	return ""
}

// Token logs demo in.
func (c *Cloud) Token() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token("demo")
}

func (c *Cloud) token(user string) string {
	id := fmt.Sprintf("token-%d", len(c.tokens)+1)
	c.tokens[id] = user
	return id
}

// identity is what Keystone says of a token: who it is, and which services there are.
func (c *Cloud) identity(user string) any {
	roles := []Object{{"name": "member"}, {"name": "reader"}}
	if user == "admin" {
		roles = append(roles, Object{"name": "admin"})
	}
	return Object{"token": Object{
		"catalog": c.catalogue(), "expires_at": "2036-01-02T03:04:05.000000Z", "user": Object{"name": user}, "roles": roles,
		"project": Object{"id": ProjectID, "name": "demo"},
	}}
}

func (c *Cloud) catalogue() []Object {
	paths := map[string]string{"compute": "/compute/v2.1", "image": "/image", "network": "/network", "placement": "/placement"}
	if c.faults[PlacementMissing] {
		delete(paths, "placement")
	}
	var services []Object
	for service, path := range paths {
		services = append(services, Object{"type": service, "endpoints": []Object{{
			"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": strings.TrimSuffix(c.URL, "/v3") + path,
		}}})
	}
	return services
}

// versions is what a service answers at its root.
func versions(id string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusMultipleChoices, Object{"versions": []Object{{"id": id, "status": "CURRENT"}}})
	}
}
