package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"

	"ndock/registry/internal/pkitest"
	"ndock/registry/internal/registrytest"
	"ndock/registry/pki"
)

// machine is a host of which Docker is to trust a registry: directories, and a Docker that does not run.
type machine struct {
	t       *testing.T
	options Options
	mirrors []string
	broken  error
}

func newMachine(t *testing.T, registry string) *machine {
	dir := t.TempDir()
	return &machine{t: t, options: Options{
		Registry: registry, CertsDir: filepath.Join(dir, "certs.d"), DaemonFile: filepath.Join(dir, "daemon.json"),
		PIDFile: filepath.Join(dir, "docker.pid"),
	}}
}

func (m *machine) Info(context.Context) (system.Info, error) {
	return system.Info{RegistryConfig: &registry.ServiceConfig{Mirrors: m.mirrors}}, m.broken
}

// change does all that there is to do, and says it.
func (m *machine) change(o Options) string {
	m.t.Helper()
	changes, err := Plan(m.t.Context(), m, o)
	if err != nil {
		m.t.Fatal(err)
	}
	var all []string
	for _, one := range changes {
		all = append(all, one.What)
		if err := one.Do(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
	return strings.Join(all, "\n")
}

// tlsRegistry is one whose certificate a CA of ours has signed.
func tlsRegistry(t *testing.T, showCA bool) (host string, ca pki.Pair) {
	t.Helper()
	ca, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if showCA {
		server.Cert = append(server.Cert, ca.Cert...)
	}
	shown, err := tls.X509KeyPair(server.Cert, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewUnstartedServer(http.NotFoundHandler())
	r.TLS = &tls.Config{Certificates: []tls.Certificate{shown}}
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.StartTLS()
	t.Cleanup(r.Close)
	return strings.TrimPrefix(r.URL, "https://"), ca
}

func TestTrustByFingerprint(t *testing.T) {
	host, ca := tlsRegistry(t, true)
	m := newMachine(t, host)
	o := m.options
	o.Fingerprint = strings.ToUpper(pki.FirstFingerprint(ca.Cert))
	file := filepath.Join(o.CertsDir, host, "ca.crt")
	if got := m.change(o); got != "put the CA into "+file {
		t.Errorf("it did %q", got)
	}
	holds(t, o.CertsDir, host, string(ca.Cert))
	if got := m.change(o); got != "" {
		t.Errorf("it did %q again", got)
	}
	o.Fingerprint = "sha256:" + strings.Repeat("0", 64)
	_, err := Plan(t.Context(), m, o)
	registrytest.WantError(t, err, "trust "+host+": it shows no certificate with this fingerprint")
	o.Fingerprint, o.Remove = "", true
	if got := m.change(o); got != "take the CA out of "+file {
		t.Errorf("it did %q", got)
	}
	if _, err := os.Stat(filepath.Dir(file)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if got := m.change(o); got != "" {
		t.Errorf("it did %q again", got)
	}
}

func TestTrustByAPerson(t *testing.T) {
	host, ca := tlsRegistry(t, true)
	m := newMachine(t, host)
	o, asked := m.options, 0
	o.Agree = func(question string) error {
		asked++
		if !strings.Contains(question, pki.FirstFingerprint(ca.Cert)) || !strings.Contains(question, pki.AuthorityName) {
			t.Errorf("it asks %q", question)
		}
		return nil
	}
	m.change(o)
	m.change(o)
	holds(t, o.CertsDir, host, string(ca.Cert))
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	m = newMachine(t, host)
	o = m.options
	o.Agree = func(string) error { return errors.New("nothing was changed") }
	_, err := Plan(t.Context(), m, o)
	registrytest.WantError(t, err, "nothing was changed")
	host, _ = tlsRegistry(t, false)
	o.Registry = host
	_, err = Plan(t.Context(), m, o)
	registrytest.WantError(t, err, "trust "+host+": it does not show its CA")
	o.Registry = strings.Replace(host, "127.0.0.1", "127.0.0.2", 1)
	_, err = Plan(t.Context(), m, o)
	registrytest.WantError(t, err, "look at its certificate: there is no answer: connection refused")
	host, _ = tlsRegistry(t, true)
	o.Agree, o.Registry = func(string) error { return nil }, strings.Replace(host, "127.0.0.1", "localhost", 1)
	_, err = Plan(t.Context(), m, o)
	registrytest.WantError(t, err, "refuse it all the same: x509: certificate is not valid for any names, but wanted to match localhost")
}

func TestTrustGivenCA(t *testing.T) {
	m := newMachine(t, "registry.example.com:5000")
	o := m.options
	foreign := pkitest.ServerPair(t, time.Now())
	o.CAFile = registrytest.Write(t, foreign.Cert)
	m.change(o)
	holds(t, o.CertsDir, o.Registry, string(foreign.Cert))
	if got := m.change(o); got != "" {
		t.Errorf("it did %q again", got)
	}
	o.CAFile, o.Remove = "", true
	m.change(o)
	holds(t, o.CertsDir, o.Registry, string(foreign.Cert)) // which may be the operator's
	o.CAFile = registrytest.Write(t, foreign.Cert)
	m.change(o)
	if _, err := os.Stat(filepath.Join(o.CertsDir, o.Registry)); err == nil {
		t.Error("it is left")
	}
	o.Remove = false
	for text, want := range map[string]string{"nothing": "has no certificate in it", string(foreign.Cert) + string(foreign.Key): "has a private key in it"} {
		o.CAFile = registrytest.Write(t, []byte(text))
		_, err := Plan(t.Context(), m, o)
		registrytest.WantError(t, err, want)
	}
}

func TestMirror(t *testing.T) {
	m := newMachine(t, "192.0.2.10:5050")
	o := m.options
	o.CAFile, o.Mirror = registrytest.Write(t, pkitest.ServerPair(t, time.Now()).Cert), true
	want := "add https://192.0.2.10:5050 to registry-mirrors in " + o.DaemonFile + ", which Docker reads at once"
	if got := m.change(o); !strings.HasSuffix(got, "\n"+want) {
		t.Errorf("it did %q", got)
	}
	if text, err := os.ReadFile(o.DaemonFile); err != nil || string(text) != "{\n  \"registry-mirrors\": [\"https://192.0.2.10:5050\"]\n}\n" {
		t.Errorf("it holds %s, %v", text, err)
	}
	if got := m.change(o); got != "" {
		t.Errorf("it did %q again", got)
	}
	o.Mirror, o.Remove = false, true
	if got := m.change(o); !strings.HasPrefix(got, "take https://192.0.2.10:5050 out of registry-mirrors") {
		t.Errorf("it did %q", got)
	}
	if _, err := os.Stat(o.DaemonFile); err == nil {
		t.Error("the file is left")
	}
}

// A Docker that does not take the file gets back the one that it had.
func TestMirrorThatDockerRefuses(t *testing.T) {
	at := newMachine(t, "192.0.2.10:5050")
	if err := os.WriteFile(at.options.DaemonFile, []byte(`{"debug": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at.options.PIDFile, []byte("what"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mirror{docker: at, url: "https://192.0.2.10:5050", file: at.options.DaemonFile, pidFile: at.options.PIDFile}
	change, err := m.plan(false)
	if err != nil {
		t.Fatal(err)
	}
	registrytest.WantError(t, change.Do(t.Context()), "holds no process id")
	text, err := os.ReadFile(m.file)
	if info, _ := os.Stat(m.file); err != nil || string(text) != `{"debug": true}` || info.Mode().Perm() != 0o600 {
		t.Errorf("it holds %s, %v, %v", text, err, info.Mode())
	}
	if err := os.WriteFile(m.pidFile, []byte("2\n"), 0o600); err != nil { // the kernel's, or nobody's
		t.Fatal(err)
	}
	if pid, err := m.pid(); pid != 0 || err != nil {
		t.Errorf("another program is taken for Docker: %d, %v", pid, err)
	}
	at.mirrors = []string{"https://192.0.2.10:5050/"}
	if !m.in(at.mirrors) {
		t.Error("what Docker makes of the URL is not known again")
	}
}

func TestMirrorText(t *testing.T) {
	const url = "https://r:5000"
	for before, after := range map[string]string{
		"":                           "{\n  \"registry-mirrors\": [\"https://r:5000\"]\n}\n",
		"{\n\t\"debug\":  true\n}\n": "",
		`{"registry-mirrors": []}`:   `{"registry-mirrors": ["https://r:5000"]}`,
		`{"registry-mirrors":["https://a/"], "debug":true}`: `{"registry-mirrors":["https://a/","https://r:5000"], "debug":true}`,
		`{"registry-mirrors": ["https://r:5000/"]}`:         `{"registry-mirrors": ["https://r:5000/"]}`,
	} {
		got, err := withMirror([]byte(before), url)
		if err != nil || after != "" && string(got) != after {
			t.Errorf("%s becomes %s, %v", before, got, err)
		}
		back, err := withoutMirror(got, url)
		if err != nil || strings.Contains(before, "debug") && string(back) != before {
			t.Errorf("%s comes back as %s, %v", before, back, err)
		}
	}
	for _, text := range []string{"{", "[]", `{"registry-mirrors": 1}`, "{} // and so on"} {
		if got, err := withMirror([]byte(text), url); err == nil {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}

func TestSayingMirrors(t *testing.T) {
	for before, want := range map[string]string{
		"":                                    "{\n  \"registry-mirrors\": []\n}\n",
		`{"debug": true}`:                     `{"debug": true,"registry-mirrors":[]}`,
		`{"registry-mirrors": []}`:            `{"registry-mirrors": []}`,
		`{"registry-mirrors": ["https://a"]}`: `{"registry-mirrors": ["https://a"]}`,
	} {
		if got, err := withMirrorsSetting([]byte(before)); err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v", before, got, err)
		}
	}
}

func FuzzMirror(f *testing.F) {
	for _, text := range []string{"", "{}", `{"registry-mirrors": ["https://a", "https://r:5000"]}`, `{"registry-mirrors": null}`, "null"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const url = "https://r:5000"
		with, err := withMirror(text, url)
		if err != nil {
			return
		}
		if there, err := mirrorsIn(with); err != nil || !(mirror{url: url}).in(there) {
			t.Fatalf("%q becomes %q: %v", text, with, err)
		}
		without, err := withoutMirror(with, url)
		if err != nil {
			t.Fatalf("%q, %v", with, err)
		}
		if there, err := mirrorsIn(without); err != nil || (mirror{url: url}).in(there) {
			t.Fatalf("%q becomes %q: %v", with, without, err)
		}
	})
}

func TestTrustOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"is not HOST:PORT":                     {Registry: "registry"},
		`"..:5000" is not HOST:PORT`:           {Registry: "..:5000"},
		`"a/../b:5000" is not HOST:PORT`:       {Registry: "a/../b:5000"},
		"has no port between 1 and 65535":      {Registry: "registry:0"},
		"--ca and --fingerprint exclude":       {Registry: "r:1", CAFile: "f", Fingerprint: "x"},
		"--remove undoes all":                  {Registry: "r:1", Remove: true, Mirror: true},
		`fingerprint "sha256:12" is not sha25`: {Registry: "r:1", Fingerprint: "sha256:12"},
	} {
		registrytest.WantError(t, o.Check(), want)
	}
	colons := strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	for _, o := range []Options{{Registry: "r:1"}, {Registry: "[::1]:5000"}, {Registry: "r.example.com:5000", Fingerprint: colons}} {
		registrytest.WantError(t, o.Check(), "")
	}
}
