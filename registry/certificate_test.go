package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestIssuedCertificateCoversItsNames(t *testing.T) {
	now := time.Now()
	ca, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"localhost", "registry.example.com", "127.0.0.1", "fd00::2"}
	server, err := ca.issue(names, now)
	if err != nil {
		t.Fatal(err)
	}
	if !server.covers(names, ca, now) {
		t.Error("a new certificate does not cover its names")
	}
	if server.covers([]string{"other.example.com"}, ca, now) {
		t.Error("it covers a name that it has not")
	}
	if server.covers(names, ca, now.Add(serverLifetime-renewal/2)) {
		t.Error("it is kept until its very end")
	}
	other, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	if server.covers(names, other, now) {
		t.Error("another CA of the same name vouches for it")
	}
	if (pair{}).covers(names, ca, now) {
		t.Error("no certificate at all covers something")
	}
}

func TestReadPairRefusesWhatClientsWouldRefuse(t *testing.T) {
	now := time.Now()
	good, other := serverPair(t, now), serverPair(t, now)
	expired := serverPair(t, now.Add(-2*serverLifetime))
	future := serverPair(t, now.Add(48*time.Hour))
	authority, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"good":            {good.cert, good.key, ""},
		"mismatched":      {good.cert, other.key, "private key does not match"},
		"expired":         {expired.cert, expired.key, "expired on "},
		"not yet valid":   {future.cert, future.key, "is not valid before "},
		"a CA":            {authority.cert, authority.key, "that of a CA"},
		"not PEM":         {[]byte("hello"), good.key, "failed to find any PEM data in certificate"},
		"key is not PEM":  {good.cert, nil, "failed to find any PEM data in key"},
		"swapped by user": {good.key, good.cert, "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readPair(write(t, test.cert), write(t, test.key), now)
			wantError(t, err, test.want)
		})
	}
	_, err = readPair("missing.crt", write(t, good.key), now)
	wantError(t, err, "read the certificate: open missing.crt: no such file")
	_, err = readPair(write(t, good.cert), "missing.key", now)
	wantError(t, err, "read the key: open missing.key: no such file")
}

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

func write(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// wantError checks an error by a part of its words; none shall be there when the words are none.
func wantError(t *testing.T, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("error %v, want one with %q", err, words)
	}
}
