package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestApplyUndoesWhatItDid(t *testing.T) {
	m := newMachine(t, "192.0.2.10:5050")
	o := m.options
	o.CAFile, o.Mirror = write(t, serverPair(t, time.Now()).cert), true
	if err := os.WriteFile(o.PIDFile, []byte("what"), 0o600); err != nil {
		t.Fatal(err)
	}
	changes, err := PlanTrust(t.Context(), m, o)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%v, %v", changes, err)
	}
	err = Apply(t.Context(), changes, silent{})
	wantError(t, err, "holds no process id")
	for _, name := range []string{o.DaemonFile, filepath.Join(o.CertsDir, o.Registry)} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if hint := hintOf(err); !strings.Contains(hint, "send SIGHUP to dockerd") {
		t.Errorf("hint %q", hint)
	}
}
