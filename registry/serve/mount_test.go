package serve

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ndock/registry/auth/keystone"
	"ndock/registry/config"
)

// A blob of a project that is not one's own is not mounted, whatever the request says, but it can be sent.
func TestMountFromAnotherProject(t *testing.T) {
	asked := httptest.NewServer(http.HandlerFunc(projectsByCredential))
	t.Cleanup(asked.Close)
	r := serve(t, config.Options{Keystone: keystone.Options{URL: asked.URL + "/v3"}})
	r.user, r.password = strings.Repeat("2", 32), "right"
	secret := r.pushBlob(t, "two/app", []byte("a secret"))
	r.user = strings.Repeat("1", 32)
	for _, query := range []string{
		"?mount=" + secret + "&from=two/app", "?from=two/app&mount=" + secret, "?mount=" + secret + "&from=two%2Fapp&from=one/app",
		"?mount=" + secret + "&mount=" + secret + "&from=two/app",
	} {
		started := r.do(t, http.MethodPost, "/v2/one/app/blobs/uploads/"+query, nil)
		r.want(t, http.StatusAccepted, started)
		r.want(t, http.StatusNotFound, r.do(t, http.MethodGet, "/v2/one/app/blobs/"+secret, nil))
		r.want(t, http.StatusNoContent, r.do(t, http.MethodDelete, started.Header.Get("Location"), nil))
	}
	r.want(t, http.StatusForbidden, r.do(t, http.MethodPost, "/v2/two/app/blobs/uploads/?mount="+secret+"&from=one/app", nil))
	r.want(t, http.StatusForbidden, r.do(t, http.MethodPost, "/v2/two/app/blobs/uploads/?mount="+secret+"&from=two/app", nil))
	r.pushBlob(t, "one/app", []byte("a secret"))
	r.want(t, http.StatusCreated, r.do(t, http.MethodPost, "/v2/one/other/blobs/uploads/?mount="+secret+"&from=one/app", nil))
}

// projectsByCredential is a Keystone in which an application credential is good for a project: 11… for one, 22… for two.
func projectsByCredential(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Auth struct {
			Identity struct {
				Credential struct{ ID string } `json:"application_credential"`
			}
		}
	}
	err := json.NewDecoder(r.Body).Decode(&asked)
	id := asked.Auth.Identity.Credential.ID
	name := map[string]string{strings.Repeat("1", 32): "one", strings.Repeat("2", 32): "two"}[id]
	if err != nil || name == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Subject-Token", name)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{
		"expires_at": "2999-01-01T00:00:00.000000Z", "roles": []any{map[string]any{"name": "member"}},
		"project": map[string]any{"id": id, "name": name, "domain": map[string]any{"name": "Default"}},
	}})
}
