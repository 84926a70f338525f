package serve

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"ndock/registry/config"
	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
	"ndock/registry/pki"
)

// The certificate that is shown is the one in the files, once they have a good one.
func TestCertificateIsReloaded(t *testing.T) {
	first, second := pkitest.ServerPair(t, time.Now()), pkitest.ServerPair(t, time.Now())
	cert, key, told := registrytest.Write(t, first.Cert), registrytest.Write(t, first.Key), make(chan os.Signal)
	r := serve(t, config.Options{CertFile: cert, KeyFile: key, Reload: told})
	r.shows(t, first)
	put := func(file string, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(key, second.Key)
	told <- os.Interrupt // whichever signal it is
	told <- os.Interrupt // the first is done with
	r.shows(t, first)
	put(cert, second.Cert)
	for deadline := time.Now().Add(20 * time.Second); !r.showsNow(t, second); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not shown")
		}
	}
	r.end()
	if log := r.log.String(); strings.Count(log, "the certificate stays what it was") > 2 || !strings.Contains(log, "private key does not match public key") {
		t.Errorf("log is\n%s", log)
	}
}

func (r *served) shows(t *testing.T, want pki.Pair) {
	t.Helper()
	if !r.showsNow(t, want) {
		t.Error("another certificate is shown")
	}
}

func (r *served) showsNow(t *testing.T, want pki.Pair) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leaf, _, err := want.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].Equal(leaf)
}

// A certificate that is about to end is followed by the next one, while connections go on.
func TestCertificateIsRenewed(t *testing.T) {
	start := time.Now()
	ca, err := pki.NewAuthority(start)
	if err != nil {
		t.Fatal(err)
	}
	all, err := ca.IssueAll([]string{"127.0.0.1"}, start)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r, err := newReloader(registrytest.Write(t, all[0].Cert), registrytest.Write(t, all[0].Key), registrytest.Write(t, all[1:].Encode()), start, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	shows := func(now time.Time, want pki.Pair) {
		t.Helper()
		r.check(now)
		if leaf, _, err := want.Parse(); err != nil || !r.shown.Load().Leaf.Equal(leaf) {
			t.Errorf("on %s another certificate is shown, %v", now.Format(time.DateOnly), err)
		}
	}
	shows(start.Add(pki.ServerLifetime-pki.Renewal-time.Hour), all[0])
	shows(start.Add(pki.ServerLifetime-pki.Renewal+time.Hour), all[1])
	shows(start.Add(pki.ServerLifetime+time.Hour), all[1])
	shows(all[1].End().Add(-pki.Renewal+time.Hour), all[2])
	shows(ca.End().Add(-time.Hour), all[len(all)-1])
	shows(ca.End().Add(time.Hour), all[len(all)-1]) // nothing better is there
	if got := strings.Count(log.String(), "certificate renewed"); got != 3 {
		t.Errorf("it was renewed %d times:\n%s", got, log.String())
	}
	if _, err := newReloader(r.certFile, r.keyFile, r.nextFile, start.Add(pki.ServerLifetime+time.Hour), r.log); err != nil {
		t.Errorf("a registry that starts when its first certificate has ended: %v", err)
	}
	_, err = newReloader(r.certFile, r.keyFile, "", start.Add(pki.ServerLifetime+time.Hour), r.log)
	registrytest.WantError(t, err, "expired on ")
}

// The registry that runs shows the next certificate when the one that it has is about to end.
func TestServeRenewsTheCertificate(t *testing.T) {
	now := time.Now()
	ca, err := pki.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	all, err := ca.IssueAll([]string{"127.0.0.1"}, now.Add(pki.Overlap+time.Hour-pki.ServerLifetime)) // when the second is valid
	if err != nil {
		t.Fatal(err)
	}
	ending, err := ca.Issue([]string{"127.0.0.1"}, now.Add(time.Hour-pki.ServerLifetime))
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, config.Options{CertFile: registrytest.Write(t, ending.Cert), KeyFile: registrytest.Write(t, ending.Key), NextFile: registrytest.Write(t, all[1:].Encode())})
	r.shows(t, all[1])
}
