package openstack

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"ndock/openstack/clouds"
	"ndock/openstack/internal/openstacktest"
)

// TestCertificates logs in to a Keystone whose certificate only its own file vouches for.
func TestCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	dir, empty := t.TempDir(), t.TempDir()
	good, combined := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "client.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write(t, good, string(authority))
	write(t, combined, string(authority))
	const answered = "404 page not found"
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"unknown":                 {nil, "certificate"},
		"cacert":                  {map[string]string{"OS_CACERT": good}, answered},
		"a directory":             {map[string]string{"OS_CACERT": dir}, answered},
		"an empty directory":      {map[string]string{"OS_CACERT": empty}, "read cacert: " + empty + " holds no certificate"},
		"a path in verify":        {map[string]string{"OS_VERIFY": good}, answered},
		"verify is false":         {map[string]string{"OS_VERIFY": "False"}, answered},
		"verify is true":          {map[string]string{"OS_VERIFY": "true"}, "certificate"},
		"insecure":                {map[string]string{"OS_INSECURE": "True", "OS_CACERT": "/no/such/ca.pem"}, answered},
		"not insecure":            {map[string]string{"OS_INSECURE": "False"}, "certificate"},
		"a key without its cert":  {map[string]string{"OS_KEY": combined}, "it has a key and no cert"},
		"a cert without its key":  {map[string]string{"OS_CERT": combined}, "read the client's certificate: "},
		"a cert that isn't there": {map[string]string{"OS_CERT": "/no/such/cert.pem", "OS_KEY": combined}, "/no/such/cert.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"OS_AUTH_URL": server.URL + "/v3", "OS_USERNAME": "u", "OS_PASSWORD": "x"}
			for name, value := range test.env {
				env[name] = value
			}
			_, err := logIn(t, variables(env))
			openstacktest.WantError(t, err, test.want)
			if name == "unknown" {
				openstacktest.WantHint(t, err, "OS_CACERT=FILE, or cacert in clouds.yaml")
				var failed *Error
				if !errors.As(err, &failed) || failed.Setting != clouds.SettingCA {
					t.Errorf("setting %+v, want %s", failed, clouds.SettingCA)
				}
			}
		})
	}
}
