package registry

import (
	"bytes"
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
	good, other := selfMade(t, now), selfMade(t, now)
	expired := selfMade(t, now.Add(-2*serverLifetime))
	future := selfMade(t, now.Add(48*time.Hour))
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

// A registry has certificates until its CA ends, and none that clients would find too long.
func TestSeriesLastsAsLongAsTheCA(t *testing.T) {
	start := time.Now()
	ca, err := newAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"localhost", "127.0.0.1"}
	made, err := ca.issueAll(names, start)
	if err != nil {
		t.Fatal(err)
	}
	all := append(series{made[0]}, parseSeries(made[1:].encode())...)
	if len(all) != len(made) || len(all) < 4 {
		t.Fatalf("of %d certificates %d are read", len(made), len(all))
	}
	for now := start; now.Before(start.Add(authorityLifetime)); now = now.Add(24 * time.Hour) {
		if err := all.at(now).verify(names, ca, now); err != nil {
			t.Fatalf("on %s: %v", now.Format(time.DateOnly), err)
		}
		if left := all.at(now).end().Sub(now); left < renewal && now.Before(ca.end().Add(-renewal)) {
			t.Fatalf("on %s %s are left", now.Format(time.DateOnly), left)
		}
	}
	for i, one := range all {
		leaf, _, err := one.parse()
		if err != nil || leaf.NotAfter.Sub(leaf.NotBefore) > serverLifetime+skew || leaf.NotAfter.After(ca.end()) {
			t.Errorf("the %d. lasts from %s to %s, %v", i, leaf.NotBefore, leaf.NotAfter, err)
		}
		if i > 0 && bytes.Equal(one.key, all[i-1].key) {
			t.Error("two have one key")
		}
	}
}

func FuzzParseSeries(f *testing.F) {
	ca, _ := newAuthority(time.Now())
	all, err := ca.issueAll([]string{"localhost"}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(all.encode())
	f.Add(all[0].cert)
	f.Add(append(all[0].key, all[1].cert...))
	f.Fuzz(func(t *testing.T, text []byte) {
		found := parseSeries(text)
		if len(found) > longestSeries {
			t.Errorf("%d are read", len(found))
		}
		for _, one := range found {
			if _, _, err := one.parse(); err != nil {
				t.Error(err)
			}
		}
	})
}

// selfMade is a certificate of 127.0.0.1 that somebody else's CA signed.
func selfMade(t *testing.T, now time.Time) pair {
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
