package serve

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
)

// The configuration that distribution's own image has is served as it is.
func TestConfigurationOfDistribution(t *testing.T) {
	data := t.TempDir()
	r := serve(t, config.Options{Config: registrytest.Write(t, []byte(`
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /nowhere
  delete:
    enabled: true
http:
  addr: :5000
  draintimeout: 7s
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`)), Data: data})
	answer := r.do(t, http.MethodGet, "/v2/", nil)
	r.want(t, http.StatusOK, answer)
	if got := answer.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("header is %q", got)
	}
	r.pushBlob(t, "app", []byte("x"))
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.log.String(), "service=registry") {
		t.Errorf("the log has not the configuration's fields:\n%s", r.log)
	}
}

func TestConfigurationIsRefused(t *testing.T) {
	const storage = "version: 0.1\nstorage: {filesystem: {rootdirectory: data}}\n"
	for text, want := range map[string]string{
		"":                                                                            "EOF",
		"version: 0.1":                                                                "no storage configuration provided",
		"version: 3.0\nstorage: filesystem":                                           `unsupported version: "3.0"`,
		"version: 0.1\nstorage: {":                                                    "did not find expected node content",
		storage + "htpp: {}":                                                          "line 3: field htpp not found",
		storage + "http: {tls: {cert: a}}":                                            "line 3: field cert not found",
		storage + "http: {draintimeout: soon}":                                        "soon",
		storage + "log: {formatter: json}":                                            "log.formatter is not supported",
		storage + "log: {level: debug}":                                               "log.level is not supported",
		storage + "http: {net: unix}":                                                 "http.net unix is not supported",
		storage + "http: {addr: nowhere}":                                             `address "nowhere" is not HOST:PORT`,
		storage + "http: {addr: ':5000'}":                                             "plain HTTP on :5000 shows images and passwords",
		storage + "http: {tls: {key: a}}":                                             "the certificate (http.tls.certificate) and the key (http.tls.key) go together",
		storage + "http: {tls: {clientcas: [a]}}":                                     "http.tls.clientcas is not supported",
		storage + "health: {tcp: [{addr: a}]}":                                        "health.file, .http, .tcp is not supported",
		storage + "middleware: {storage: [{name: cloudfront}]}":                       "middleware.storage cloudfront is not built in",
		"version: 0.1\nstorage: {gcs: {bucket: a}}":                                   "storage.gcs is not built in; there is storage.filesystem",
		"version: 0.1\nstorage: {filesystem: {directory: a}}":                         "storage.filesystem.directory is not known",
		"version: 0.1\nstorage: {filesystem: {}, delete: {enabled: 'yes'}}":           "storage.delete.enabled is neither true nor false",
		"version: 0.1\nstorage: {filesystem: {}, inmemory: {}}":                       "must provide exactly one storage type",
		"version: 0.1\nstorage: {filesystem: {rootdirectory: DIR}, redirect: {}}":     "invalid type for redirect config",
		"version: 0.1\nstorage: {filesystem: {rootdirectory: DIR, maxthreads: many}}": "maxthreads config error",
		"version: 0.1\nstorage: {filesystem: {rootdirectory: DIR}}\nauth: {ldap: {}}": "unable to configure authorization (ldap)",
		"version: 0.1\nstorage: {filesystem: {rootdirectory: DIR}}\nauth: {htpasswd: {realm: a, path: nowhere}}": "read the logins: open nowhere",
	} {
		o := config.Options{Config: registrytest.Write(t, []byte(strings.ReplaceAll(text, "DIR", t.TempDir()))), Log: slog.New(slog.DiscardHandler)}
		registrytest.WantError(t, Serve(t.Context(), o), want)
	}
	registrytest.WantError(t, Serve(t.Context(), config.Options{Config: "nowhere", Log: slog.New(slog.DiscardHandler)}), "read the configuration: open nowhere")
}

// Distribution looks for middleware that is disabled, too, and has none of that name here.
func TestDisabledMiddleware(t *testing.T) {
	r := serve(t, config.Options{Data: t.TempDir(), Config: registrytest.Write(t, []byte(`
version: 0.1
storage: {filesystem: {}}
middleware:
  registry: [{name: nowhere, disabled: true}]
  repository: [{name: nowhere, disabled: true}]
  storage: [{name: cloudfront, disabled: true}]
`))})
	r.want(t, http.StatusOK, r.do(t, http.MethodGet, "/v2/", nil))
	r.pushBlob(t, "app", []byte("x"))
}
