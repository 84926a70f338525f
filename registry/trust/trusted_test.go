package trust

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ndock/registry/internal/pkitest"
	"ndock/registry/pki"
)

func TestFindTrusted(t *testing.T) {
	host, ca := tlsRegistry(t, true)
	_, port, _ := strings.Cut(host, ":")
	dir := filepath.Join(t.TempDir(), "certs.d")
	other, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, host, string(ca.Cert))
	put(t, dir, "localhost:"+port, string(ca.Cert))
	put(t, dir, "127.0.0.1:1", "# the site's\n"+string(pkitest.ServerPair(t, time.Now()).Cert)) // not ndock's
	put(t, dir, "127.0.0.2:1", string(other.Cert))                                              // where nobody listens
	found, err := Find(t.Context(), dir, 5*time.Second)
	if err != nil || len(found) != 2 {
		t.Fatalf("found %+v, %v", found, err)
	}
	if one := found[0]; one.Err != nil || one.String() != host+" (and localhost:"+port+")" || one.Expires.IsZero() {
		t.Errorf("found %+v", one)
	}
	if one := found[1]; one.Err == nil || !one.Expires.IsZero() || one.CA.IsZero() {
		t.Errorf("found %+v", one)
	}
	for after, want := range map[time.Duration]string{
		0: "", pki.ServerLifetime - 31*24*time.Hour: "", pki.ServerLifetime - 29*24*time.Hour: "the certificate of registry " + host + " ends on ",
		pki.AuthorityLifetime - 89*24*time.Hour: "the CA of registry " + host + " ends on ",
	} {
		got, fix := found[0].Warning(time.Now().Add(after))
		if (got == "") != (want == "") || (fix == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("after %s: %q, %q", after, got, fix)
		}
	}
	if found, err := Find(t.Context(), filepath.Join(dir, "none"), time.Second); err != nil || len(found) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	put(t, dir, host, string(other.Cert))
	found, err = Find(t.Context(), dir, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if what, fix := found[0].Warning(time.Now()); !strings.Contains(what, "clients would refuse it all the same") || fix != "ndock registry trust "+host {
		t.Errorf("warning %q, %q", what, fix)
	}
}
