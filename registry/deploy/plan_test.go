package deploy

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ndock/registry/config"
	"ndock/registry/internal/registrytest"
	"ndock/registry/pki"
)

// decided is what a deployment makes of the files that are there.
func decided(t *testing.T, o Options, kept files, now time.Time) files {
	t.Helper()
	at, err := config.ParseAddress(o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	made, err := inputs{Options: o, at: at}.certificates(kept, now)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestDeployKeepsTheCertificate(t *testing.T) {
	now, at := time.Now(), Options{Options: config.Options{Listen: "0.0.0.0:5050"}}
	ca, err := pki.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	issued := func(names ...string) files {
		all, err := ca.IssueAll(names, now)
		if err != nil {
			t.Fatal(err)
		}
		f := files{fileNext: all[1:].Encode()}
		f.put(fileCert, fileKey, all[0])
		f.put(fileCA, fileCAKey, ca)
		return f
	}
	asked := config.Address{Port: "5050"}.RequiredNames()
	kept := issued(append(asked, "198.51.100.77")...) // which no interface has any more; and none of those that there are
	single := maps.Clone(kept)                        // of an older ndock
	delete(single, fileNext)
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		kept         files
		now          time.Time
		names        []string
		same, sameCA bool
	}{
		"the same again, with other interfaces": {kept: kept, now: now, same: true, sameCA: true},
		"when the second is shown":              {kept: kept, now: now.Add(pki.ServerLifetime), same: true, sameCA: true},
		"years later":                           {kept: kept, now: now.Add(pki.AuthorityLifetime - 100*day), same: true, sameCA: true},
		"near the CA's end":                     {kept: kept, now: now.Add(pki.AuthorityLifetime - 80*day)},
		"after the CA's end":                    {kept: kept, now: now.Add(pki.AuthorityLifetime + day)},
		"another name is asked for":             {kept: kept, now: now, names: []string{"registry.example.com"}, sameCA: true},
		"a name that it has":                    {kept: kept, now: now, names: []string{"198.51.100.77"}, same: true, sameCA: true},
		"an older ndock's":                      {kept: single, now: now, sameCA: true},
		"nothing was there":                     {kept: files{}, now: now},
	} {
		t.Run(name, func(t *testing.T) {
			o := at
			o.Names = test.names
			got := decided(t, o, test.kept, test.now)
			if same := bytes.Equal(got[fileCert], test.kept[fileCert]); same != test.same {
				t.Errorf("the certificate is the same: %t", same)
			}
			if same := bytes.Equal(got[fileCA], test.kept[fileCA]); same != test.sameCA {
				t.Errorf("the CA is the same: %t", same)
			}
			for _, name := range append(asked, test.names...) {
				if err := got.series().At(test.now).Verify([]string{name}, got.pair(fileCA, fileCAKey), test.now); err != nil {
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

func TestContainerOnPrivilegedPorts(t *testing.T) {
	for _, test := range []struct {
		listen, metrics string
		capabilities    []string
	}{
		{"0.0.0.0:443", "", []string{"NET_BIND_SERVICE"}},
		{"0.0.0.0:5050", "127.0.0.1:90", []string{"NET_BIND_SERVICE"}},
		{"0.0.0.0:443", "127.0.0.1:90", []string{"NET_BIND_SERVICE"}},
		{"0.0.0.0:5050", "127.0.0.1:9050", nil},
		{"0.0.0.0:5050", "", nil},
	} {
		in, err := readInputs(Host{}, Options{Options: config.Options{Listen: test.listen, Metrics: test.metrics}, Binary: fakeProgram(t, ""), Report: registrytest.Silent{}})
		if err != nil {
			t.Fatal(err)
		}
		defer in.program.file.Close()
		wanted, err := newPlan(in, containerTarget{}, files{}, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := newSpec(wanted).Host.CapAdd; !slices.Equal(got, test.capabilities) {
			t.Errorf("with --listen %s --metrics %q it has %q", test.listen, test.metrics, got)
		}
	}
}
