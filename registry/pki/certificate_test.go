package pki

import (
	"bytes"
	"testing"
	"time"

	"ndock/registry/internal/registrytest"
)

func TestIssuedCertificateCoversItsNames(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"localhost", "registry.example.com", "127.0.0.1", "fd00::2"}
	server, err := ca.Issue(names, now)
	if err != nil {
		t.Fatal(err)
	}
	if !server.Covers(names, ca, now) {
		t.Error("a new certificate does not cover its names")
	}
	if server.Covers([]string{"other.example.com"}, ca, now) {
		t.Error("it covers a name that it has not")
	}
	if server.Covers(names, ca, now.Add(ServerLifetime-Renewal/2)) {
		t.Error("it is kept until its very end")
	}
	other, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	if server.Covers(names, other, now) {
		t.Error("another CA of the same name vouches for it")
	}
	if (Pair{}).Covers(names, ca, now) {
		t.Error("no certificate at all covers something")
	}
}

func TestReadPairRefusesWhatClientsWouldRefuse(t *testing.T) {
	now := time.Now()
	good, other := selfMade(t, now), selfMade(t, now)
	expired := selfMade(t, now.Add(-2*ServerLifetime))
	future := selfMade(t, now.Add(48*time.Hour))
	authority, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"good":            {good.Cert, good.Key, ""},
		"mismatched":      {good.Cert, other.Key, "private key does not match"},
		"expired":         {expired.Cert, expired.Key, "expired on "},
		"not yet valid":   {future.Cert, future.Key, "is not valid before "},
		"a CA":            {authority.Cert, authority.Key, "that of a CA"},
		"not PEM":         {[]byte("hello"), good.Key, "failed to find any PEM data in certificate"},
		"key is not PEM":  {good.Cert, nil, "failed to find any PEM data in key"},
		"swapped by user": {good.Key, good.Cert, "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadPair(registrytest.Write(t, test.cert), registrytest.Write(t, test.key), now)
			registrytest.WantError(t, err, test.want)
		})
	}
	_, err = ReadPair("missing.crt", registrytest.Write(t, good.Key), now)
	registrytest.WantError(t, err, "read the certificate: open missing.crt: no such file")
	_, err = ReadPair(registrytest.Write(t, good.Cert), "missing.key", now)
	registrytest.WantError(t, err, "read the key: open missing.key: no such file")
}

// A registry has certificates until its CA ends, and none that clients would find too long.
func TestSeriesLastsAsLongAsTheCA(t *testing.T) {
	start := time.Now()
	ca, err := NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"localhost", "127.0.0.1"}
	made, err := ca.IssueAll(names, start)
	if err != nil {
		t.Fatal(err)
	}
	all := append(Series{made[0]}, ParseSeries(made[1:].Encode())...)
	if len(all) != len(made) || len(all) < 4 {
		t.Fatalf("of %d certificates %d are read", len(made), len(all))
	}
	for now := start; now.Before(start.Add(AuthorityLifetime)); now = now.Add(24 * time.Hour) {
		if err := all.At(now).Verify(names, ca, now); err != nil {
			t.Fatalf("on %s: %v", now.Format(time.DateOnly), err)
		}
		if left := all.At(now).End().Sub(now); left < Renewal && now.Before(ca.End().Add(-Renewal)) {
			t.Fatalf("on %s %s are left", now.Format(time.DateOnly), left)
		}
	}
	for i, one := range all {
		leaf, _, err := one.Parse()
		if err != nil || leaf.NotAfter.Sub(leaf.NotBefore) > ServerLifetime+clockSkew || leaf.NotAfter.After(ca.End()) {
			t.Errorf("the %d. lasts from %s to %s, %v", i, leaf.NotBefore, leaf.NotAfter, err)
		}
		if i > 0 && bytes.Equal(one.Key, all[i-1].Key) {
			t.Error("two have one key")
		}
	}
}

func FuzzParseSeries(f *testing.F) {
	ca, _ := NewAuthority(time.Now())
	all, err := ca.IssueAll([]string{"localhost"}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(all.Encode())
	f.Add(all[0].Cert)
	f.Add(append(all[0].Key, all[1].Cert...))
	f.Fuzz(func(t *testing.T, text []byte) {
		found := ParseSeries(text)
		if len(found) > maxSeries {
			t.Errorf("%d are read", len(found))
		}
		for _, one := range found {
			if _, _, err := one.Parse(); err != nil {
				t.Error(err)
			}
		}
	})
}

// selfMade is a certificate of 127.0.0.1 that somebody else's CA signed.
func selfMade(t *testing.T, now time.Time) Pair {
	t.Helper()
	ca, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue([]string{"127.0.0.1", "localhost"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return server
}
