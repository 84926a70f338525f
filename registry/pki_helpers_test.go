package registry

import (
	"testing"
	"time"
)

// serverPair is a certificate of 127.0.0.1 that somebody else's CA signed.
func serverPair(t *testing.T, now time.Time) pair {
	t.Helper()
	ca, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.issue([]string{"127.0.0.1", "localhost"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return server
}
