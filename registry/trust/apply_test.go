package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ndock/registry"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
)

func TestApplyUndoesWhatItDid(t *testing.T) {
	m := newMachine(t, "192.0.2.10:5050")
	o := m.options
	o.CAFile, o.Mirror = registrytest.Write(t, pkitest.ServerPair(t, time.Now()).Cert), true
	if err := os.WriteFile(o.PIDFile, []byte("what"), 0o600); err != nil {
		t.Fatal(err)
	}
	changes, err := Plan(t.Context(), m, o)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%v, %v", changes, err)
	}
	err = Apply(t.Context(), changes, registrytest.Silent{})
	registrytest.WantError(t, err, "holds no process id")
	for _, name := range []string{o.DaemonFile, filepath.Join(o.CertsDir, o.Registry)} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if hint := registry.HintOf(err); !strings.Contains(hint, "send SIGHUP to dockerd") {
		t.Errorf("hint %q", hint)
	}
}
