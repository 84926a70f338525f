package deploy

import (
	"errors"
	"testing"
)

func TestAddress(t *testing.T) {
	s := newSite(t)
	var stopped *NotRunning
	if _, _, err := Address(t.Context(), s.host()); !errors.As(err, &stopped) || stopped.State != Absent || stopped.Hint() != "'ndock registry deploy' makes one" {
		t.Errorf("without a registry: %v", err)
	}
	for _, plain := range []bool{false, true} {
		s.options.Insecure = plain
		status := s.deploy()
		scheme := map[bool]string{false: "https://", true: "http://"}[plain]
		if address, got, err := Address(t.Context(), s.host()); err != nil || got != plain || scheme+address != status.URL {
			t.Errorf("%s is at %s, plain: %t (%v)", status.URL, address, got, err)
		}
	}
}

// TestNotRunningHint: where the reason stands depends on how the registry runs.
func TestNotRunningHint(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		KindService: "'journalctl -u ndock-registry' says why", KindContainer: "'docker logs ndock-registry' says why",
	} {
		var stopped *NotRunning
		if err := (Status{State: "exited", Kind: kind}).CheckRunning(); !errors.As(err, &stopped) || stopped.Hint() != want {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := (Status{State: Running}).CheckRunning(); err != nil {
		t.Errorf("one that runs: %v", err)
	}
}
