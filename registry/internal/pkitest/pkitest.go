// Package pkitest has certificates for tests.
package pkitest

import (
	"testing"
	"time"

	"ndock/registry/pki"
)

// ServerPair returns a certificate of 127.0.0.1 and localhost, signed by a CA that nobody has.
func ServerPair(t *testing.T, now time.Time) pki.Pair {
	t.Helper()
	ca, err := pki.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue([]string{"127.0.0.1", "localhost"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return server
}
