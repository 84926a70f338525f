package node

import (
	"slices"
	"strings"
	"testing"
)

// What makes an engine weak is said, and is no reason for a node not to be ready.
func TestStatusWarnsOfAWeakEngine(t *testing.T) {
	f := newFake(t, false)
	f.facts.Runc, f.facts.Security = "1.1.5+ds1", []string{"seccomp"}
	_, err := f.setup()
	f.must(err)
	got := f.status("engine")
	for _, want := range []string{
		"runc has faults by which containers break out, as its version 1.1.5+ds1 says (CVE-2024-21626, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881)",
		"neither AppArmor nor SELinux confines containers", "root in a container is root on the host",
	} {
		if got.State != Done || !strings.Contains(got.Detail, "; warning: "+want) {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	f.facts.Runc, f.facts.Security = "1.3.3", []string{"apparmor", "seccomp", "userns"}
	if got := f.status("engine").Detail; got != "Docker Engine 20.10.24 answers" {
		t.Errorf("got %s", got)
	}
}

func TestRuncWarnings(t *testing.T) {
	const old, new = "CVE-2024-21626", "CVE-2025-31133"
	for version, want := range map[string][]string{
		"1.0.0-rc93": {old, new}, "1.1.11": {old, new}, "1.1.12": {new}, "1.1.15": {new}, "1.2.7": {new}, "1.2.8": {}, "v1.2.9": {},
		"1.3.0": {new}, "1.3.2-0ubuntu2": {new}, "1.3.3": {}, "1.4.0": {}, "2.0.0": {}, "unknown": {}, "": {},
	} {
		said := strings.Join(runcWarnings(version), "")
		for _, fault := range []string{old, new} {
			if strings.Contains(said, fault) != slices.Contains(want, fault) {
				t.Errorf("%s: %s", version, said)
			}
		}
	}
}
