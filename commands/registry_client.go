package commands

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/urfave/cli/v2"

	"ndock/registry"
	"ndock/registry/contents"
)

// registryClientFlags are those of commands that ask a registry as docker does.
func registryClientFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "registry", Usage: "`HOST:PORT` of the registry; that of 'ndock registry deploy' without"},
		&cli.BoolFlag{Name: "insecure", Usage: "plain HTTP even to another host, where TLS is not answered"},
	}
}

// openRegistry is the registry that the flags name, with the login that 'docker login' has left and the CAs that
// Docker on this host trusts.
func openRegistry(c *cli.Context) (contents.Registry, error) {
	address, plain, err := registryAddress(c)
	if err != nil {
		return contents.Registry{}, err
	}
	transport, err := registryTransport(address, plain, registry.CertsDir)
	if err != nil {
		return contents.Registry{}, err
	}
	return contents.Registry{Address: address, PlainHTTP: plain.allowed(address), Options: []remote.Option{
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(transport),
		remote.WithUserAgent("ndock/" + version()),
	}}, nil
}

// plainHTTP is where a client may speak it.
type plainHTTP int

const (
	plainNowhere plainHTTP = iota
	plainHere              // on this host, where nobody else hears it
	plainAnywhere
)

// allowed tells whether plain HTTP may be spoken to HOST:PORT.
func (p plainHTTP) allowed(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return p == plainAnywhere || p == plainHere && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// registryAddress is what --registry says, or where the registry that was deployed on this host is.
func registryAddress(c *cli.Context) (string, plainHTTP, error) {
	if address := c.String("registry"); address != "" {
		if strings.ContainsAny(address, "/@") {
			return "", 0, misused(c, "--registry %q is not HOST:PORT", address)
		}
		if c.Bool("insecure") {
			return address, plainAnywhere, nil
		}
		return address, plainHere, nil
	}
	engine, err := engineClient(c)
	if err != nil {
		return "", 0, err
	}
	defer engine.Close()
	status, err := registry.Find(c.Context, engine)
	if err != nil {
		return "", 0, err
	}
	at, err := url.Parse(status.URL)
	switch {
	case status.State != registry.Running:
		return "", 0, &notServing{state: status.State}
	case err != nil:
		return "", 0, fmt.Errorf("ask the registry: %w", err)
	case at.Scheme == "http": // as it was deployed
		return at.Host, plainAnywhere, nil
	}
	return at.Host, plainNowhere, nil
}

// registryTransport honours HTTPS_PROXY. A body may take as long as it takes, but not an answer's beginning.
func registryTransport(address string, plain plainHTTP, certsDir string) (http.RoundTripper, error) {
	config, err := registryTLS(filepath.Join(certsDir, address))
	if err != nil {
		return nil, err
	}
	return &guard{plain: plain, next: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   16,
		ForceAttemptHTTP2:     true,
	}}, nil
}

// guard keeps passwords from the network, whatever a registry answers.
type guard struct {
	plain plainHTTP
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme == "https" || g.plain.allowed(request.URL.Host) {
		return g.next.RoundTrip(request)
	}
	return nil, fmt.Errorf("plain HTTP to %s is not spoken without --insecure", request.URL.Host)
}

// registryTLS reads the directory of a registry as Docker does: NAME.crt are CAs, NAME.cert and NAME.key are a
// client's certificate.
func registryTLS(dir string) (*tls.Config, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	cas, _ := filepath.Glob(filepath.Join(globbed(dir), "*.crt")) // which cannot fail: the pattern is right
	for _, file := range cas {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the CAs of the registry: %w", err)
		}
		if !roots.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("read the CAs of the registry: there is no certificate in %q", file)
		}
	}
	certs, _ := filepath.Glob(filepath.Join(globbed(dir), "*.cert"))
	for _, file := range certs {
		own, err := tls.LoadX509KeyPair(file, strings.TrimSuffix(file, ".cert")+".key")
		if err != nil {
			return nil, fmt.Errorf("read the client's certificate %q: %w", file, err)
		}
		config.Certificates = append(config.Certificates, own)
	}
	return config, nil
}

// globbed has no pattern in it: [::1]:5050 is a directory's name, too.
func globbed(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `*`, `\*`, `?`, `\?`).Replace(dir)
}
