package registry

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"
)

// The certificate that is shown is the one in the files, once they have a good one.
func TestCertificateIsReloaded(t *testing.T) {
	first, second := serverPair(t, time.Now()), serverPair(t, time.Now())
	cert, key, told := write(t, first.cert), write(t, first.key), make(chan os.Signal)
	r := serve(t, ServeOptions{CertFile: cert, KeyFile: key, Reload: told})
	r.shows(t, first)
	put := func(file string, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(key, second.key)
	told <- os.Interrupt // whichever signal it is
	told <- os.Interrupt // the first is done with
	r.shows(t, first)
	put(cert, second.cert)
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

func (r *served) shows(t *testing.T, want pair) {
	t.Helper()
	if !r.showsNow(t, want) {
		t.Error("another certificate is shown")
	}
}

func (r *served) showsNow(t *testing.T, want pair) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leaf, _, err := want.parse()
	if err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].Equal(leaf)
}
