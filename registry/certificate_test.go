package registry

import (
	"bytes"
	"maps"
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

// decided is what a deployment makes of the files that are there.
func decided(t *testing.T, o DeployOptions, kept files, now time.Time) files {
	t.Helper()
	at, err := parseAddress(o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{DeployOptions: o, at: at, kept: kept, files: files{}}
	if err := d.decideCertificate(now); err != nil {
		t.Fatal(err)
	}
	return d.files
}

func TestDeployKeepsTheCertificate(t *testing.T) {
	now, at := time.Now(), DeployOptions{Listen: "0.0.0.0:5050"}
	ca, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	issued := func(names ...string) files {
		all, err := ca.issueAll(names, now)
		if err != nil {
			t.Fatal(err)
		}
		f := files{fileNext: all[1:].encode()}
		f.put(fileCert, fileKey, all[0])
		f.put(fileCA, fileCAKey, ca)
		return f
	}
	asked := address{port: "5050"}.asked()
	kept := issued(append(asked, "198.51.100.77")...) // which no interface has any more; and none of those that there are
	single := maps.Clone(kept)                        // of an older ndock
	delete(single, fileNext)
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		kept         files
		now          time.Time
		names        []string
		image        string
		same, sameCA bool
	}{
		"the same again, with other interfaces": {kept: kept, now: now, same: true, sameCA: true},
		"when the second is shown":              {kept: kept, now: now.Add(serverLifetime), same: true, sameCA: true},
		"years later":                           {kept: kept, now: now.Add(authorityLifetime - 100*day), same: true, sameCA: true},
		"near the CA's end":                     {kept: kept, now: now.Add(authorityLifetime - 80*day)},
		"after the CA's end":                    {kept: kept, now: now.Add(authorityLifetime + day)},
		"another name is asked for":             {kept: kept, now: now, names: []string{"registry.example.com"}, sameCA: true},
		"a name that it has":                    {kept: kept, now: now, names: []string{"198.51.100.77"}, same: true, sameCA: true},
		"an older ndock's":                      {kept: single, now: now, sameCA: true},
		"distribution's own":                    {kept: single, now: now, image: "registry:3", same: true, sameCA: true},
		"distribution's own, about to end":      {kept: kept, now: now.Add(serverLifetime - 20*day), image: "registry:3", sameCA: true},
		"nothing was there":                     {kept: files{}, now: now},
	} {
		t.Run(name, func(t *testing.T) {
			o := at
			o.Names, o.Image = test.names, test.image
			got := decided(t, o, test.kept, test.now)
			if same := bytes.Equal(got[fileCert], test.kept[fileCert]); same != test.same {
				t.Errorf("the certificate is the same: %t", same)
			}
			if same := bytes.Equal(got[fileCA], test.kept[fileCA]); same != test.sameCA {
				t.Errorf("the CA is the same: %t", same)
			}
			for _, name := range append(asked, test.names...) {
				if err := got.series().at(test.now).verify([]string{name}, got.pair(fileCA, fileCAKey), test.now); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestStatusWarns(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	for want, s := range map[string]Status{
		"":                             {TLS: tlsSelfSigned, Expires: now.Add(31 * day), Renewed: now.Add(91 * day)},
		"the CA ends on ":              {TLS: tlsSelfSigned, Expires: now.Add(89 * day), Renewed: now.Add(89 * day)},
		"the CA ended on ":             {TLS: tlsSelfSigned, Expires: now.Add(-day), Renewed: now.Add(-day)},
		"same options, which renews ":  {TLS: tlsSelfSigned, Expires: now.Add(29 * day)},
		"deploy again with --tls-cert": {TLS: tlsGiven, Expires: now.Add(29 * day)},
		"was broken off":               {TLS: tlsNone, Unfinished: true},
	} {
		got := strings.Join(s.Warnings(now), "\n")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q", s, got)
		}
	}
	if got := (Status{TLS: tlsGiven, Expires: now.Add(31 * day)}).Warnings(now); len(got) > 0 {
		t.Error(got)
	}
}
