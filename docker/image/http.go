package image

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"ndock/docker/transfer"
)

// CertsDir is where docker, skopeo and others look for a registry's certificates: HOST:PORT/*.crt are CAs,
// HOST:PORT/*.cert and *.key are the client's certificate and key.
const CertsDir = "/etc/docker/certs.d"

// Remote returns the options for connecting to registries as docker does: with docker's logins (~/.docker/config.json
// and its credential helpers) and the CAs in certsDir. Plain HTTP is allowed to loopback only, unless insecure. A
// broken download is resumed up to retries times. notice is called when a certificate is left out because this user
// may not read it; it may be nil.
func Remote(agent, certsDir string, insecure bool, retries int, notice func(text string)) []remote.Option {
	hosts := &hostTransports{certsDir: certsDir, insecure: insecure, notice: notice, known: map[string]*http.Transport{}, untrusted: map[string]error{}}
	watched := &transfer.IdleTransport{Next: hosts, Timeout: transfer.IdleTimeout}
	return []remote.Option{
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent(agent),
		remote.WithTransport(rejectWebPages{boundAnswers{resumingTransport{rejectRedirects{newRateLimiter(watched)}, retries}}}),
	}
}

// hostTransports has a transport for each registry, because each may have its own CA.
type hostTransports struct {
	certsDir string
	insecure bool
	notice   func(text string)

	mu        sync.Mutex // guards all below
	known     map[string]*http.Transport
	untrusted map[string]error // certificate errors by host
}

// plainHTTPError refuses plain HTTP to a host.
type plainHTTPError struct{ host string }

func (e plainHTTPError) Error() string {
	return fmt.Sprintf("plain HTTP to %s needs --insecure: images and passwords can be read on the way", e.host)
}

// RoundTrip implements http.RoundTripper.
func (h *hostTransports) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !h.insecure && !IsLoopback(r.URL.Host) {
		return nil, plainHTTPError{r.URL.Host}
	}
	transport, err := h.transport(r.URL.Host)
	if err != nil {
		return nil, err
	}
	if err := h.recordUntrusted(r.URL.Host, nil); err != nil && r.URL.Scheme == "http" {
		return nil, err // a bad certificate is no reason to use plain HTTP; its answers could be anybody's
	}
	response, err := transport.RoundTrip(r)
	var wrong *tls.CertificateVerificationError
	if errors.As(err, &wrong) {
		h.recordUntrusted(r.URL.Host, err)
	}
	return response, err
}

// recordUntrusted records a certificate error of a host, if wrong is not nil, and returns the recorded one.
func (h *hostTransports) recordUntrusted(host string, wrong error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if wrong != nil {
		h.untrusted[host] = wrong
	}
	return h.untrusted[host]
}

// IsLoopback reports whether HOST or HOST:PORT is this host. Nobody else can read that traffic.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (h *hostTransports) transport(host string) (*http.Transport, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if transport, ok := h.known[host]; ok {
		return transport, nil
	}
	config, err := h.tls(host)
	if err != nil {
		return nil, fmt.Errorf("read the certificates for registry %s: %w", host, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // honors HTTPS_PROXY
	transport.TLSClientConfig = config
	transport.DisableCompression = true               // digests are of the stored bytes, and some servers declare a compressed layer as encoded
	transport.ResponseHeaderTimeout = 2 * time.Minute // for the headers; transfer.IdleTransport watches the bodies
	h.known[host] = transport
	return transport, nil
}

func (h *hostTransports) tls(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: h.insecure}
	dir := filepath.Join(h.certsDir, host)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // on some systems only root may read it; it only adds trust
		return config, nil
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		switch filepath.Ext(file) {
		case ".crt":
			err = addCA(config, file)
		case ".cert":
			err = addClient(config, file)
		}
		switch {
		case errors.Is(err, fs.ErrPermission) && h.notice != nil:
			h.notice(fmt.Sprintf("registry %s is asked without a certificate that this user may not read: %v", host, err))
		case err != nil && !errors.Is(err, fs.ErrPermission):
			return nil, err
		}
	}
	return config, nil
}

func addCA(config *tls.Config, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if config.RootCAs == nil {
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool() // a host without CAs
		}
	}
	if !config.RootCAs.AppendCertsFromPEM(content) {
		return fmt.Errorf("there is no certificate in %q", file)
	}
	return nil
}

func addClient(config *tls.Config, file string) error {
	pair, err := tls.LoadX509KeyPair(file, strings.TrimSuffix(file, ".cert")+".key")
	if err != nil {
		return fmt.Errorf("read the client's certificate %q: %w", file, err)
	}
	config.Certificates = append(config.Certificates, pair)
	return nil
}

// rejectRedirects returns an error for a redirected upload. HTTP clients follow such a redirect with GET, and the
// upload would be lost.
type rejectRedirects struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t rejectRedirects) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return response, err
	}
	switch response.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
	default:
		return response, nil
	}
	response.Body.Close()
	where := "elsewhere"
	if location, err := response.Location(); err == nil {
		where = location.Scheme + "://" + location.Host + location.Path
	}
	return nil, fmt.Errorf("the upload is redirected to %s with %d, which drops its content: it is no registry, or %s answers for it; uploads are redirected with 307 or 308 only",
		where, response.StatusCode, intermediaries)
}

// rejectWebPages returns an error for a web page in place of a manifest, a list or a token. A guest network's login
// page is such.
type rejectWebPages struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t rejectWebPages) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK || !wantsJSON(r) || !transfer.IsWebPage(response) {
		return response, err
	}
	response.Body.Close()
	return nil, fmt.Errorf("%s answered with a web page: it is no registry, or %s answers for it", r.URL.Host, intermediaries)
}

// longestAnswer is how many bytes an answer has at most that is no blob: four times the largest manifest that registries take. It is
// read into memory.
const longestAnswer = 16 << 20

// boundAnswers has an answer end in an error that is longer: the registry decides what it sends.
type boundAnswers struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil && (response.StatusCode >= http.StatusBadRequest || !strings.Contains(transfer.OriginalRequest(r).URL.Path, "/blobs/")) {
		response.Body = transfer.Bounded(response.Body, longestAnswer)
	}
	return response, err
}

// intermediaries is who else may answer for a registry, in error messages.
const intermediaries = "a proxy or a network's login page"

// wantsJSON reports whether a request, or the one that was redirected to it, asks for a manifest, a list or a token.
// Blobs may have any type, and some registries answer with any page at the root and to deletions.
func wantsJSON(r *http.Request) bool {
	if r.Method == http.MethodDelete {
		return false
	}
	asked := transfer.OriginalRequest(r).URL
	return !strings.Contains(asked.Path, "/blobs/") && asked.Path != "/v2/"
}
