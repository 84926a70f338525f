package openstack

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"ndock/openstack/internal/openstacktest"
)

// TestNoEndpoint: what to do is said.
func TestNoEndpoint(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(t)
	env := map[string]string{"OS_AUTH_URL": recorder.URL + "/c", "OS_USERNAME": "u", "OS_PASSWORD": "x", "OS_REGION_NAME": "Three"}
	cloud, err := logIn(t, variables(env))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cloud.Images(t.Context())
	openstacktest.WantError(t, err, "find Glance in the catalogue: the catalogue has no such region as Three")
	openstacktest.WantHint(t, err, "there are One, Two; OS_REGION_NAME")

	unscoped := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"token": {"user": {"name": "u"}}}`)
	}))
	t.Cleanup(unscoped.Close)
	env["OS_AUTH_URL"] = unscoped.URL
	if cloud, err = logIn(t, variables(env)); err != nil {
		t.Fatal(err)
	}
	_, err = cloud.Images(t.Context())
	openstacktest.WantHint(t, err, "the login is for no project")
}
