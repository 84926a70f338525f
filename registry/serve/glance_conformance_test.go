package serve

import (
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/glance"
	"ndock/registry/glance/glancetest"
)

// TestConformanceInGlance runs OCI's own tests, the program NDOCK_CONFORMANCE, on a registry in a Glance in memory. Their report is
// left in the directory NDOCK_CONFORMANCE_DIR. The count is for testdata/conformance/run to judge.
func TestConformanceInGlance(t *testing.T) {
	program, dir := os.Getenv("NDOCK_CONFORMANCE"), os.Getenv("NDOCK_CONFORMANCE_DIR")
	if program == "" || dir == "" {
		t.Skip("NDOCK_CONFORMANCE names no program, or NDOCK_CONFORMANCE_DIR no directory")
	}
	cloud := glancetest.NewKeystone(t, map[string][]string{"ann": {"conformance"}})
	r := serve(t, config.Options{
		Glance: config.GlanceOptions{Used: true}, Keystone: keystone.Options{URL: cloud.URL},
		OpenGlance: opens(glancetest.New()),
	})
	command := exec.CommandContext(t.Context(), program)
	command.Dir = dir
	command.Env = append(os.Environ(), "OCI_REGISTRY="+strings.TrimPrefix(r.url, "http://"), "OCI_TLS=disabled",
		"OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two", "OCI_USERNAME=ann", "OCI_PASSWORD="+glancetest.Password)
	output, err := command.CombinedOutput()
	t.Logf("%v\n%s", err, output)
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(dir+"/log", r.log.Bytes(), 0o600); err != nil {
		t.Error(err)
	}
}

// opens returns how the projects of a Glance in memory are opened.
func opens(images *glancetest.Glance) func(config.GlanceOptions, *slog.Logger) (glance.Opener, error) {
	return func(config.GlanceOptions, *slog.Logger) (glance.Opener, error) { return images.Open, nil }
}
