package transfer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// speaks listens on loopback, and writes some bytes to each who has said something.
func speaks(t *testing.T, answer string) (host string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

// TestInWords asks hosts that do not answer, each for its own reason.
func TestInWords(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	trusting := secure.Client()
	stranger := "stranger.test" + secure.URL[strings.LastIndex(secure.URL, ":"):]
	trusting.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, secure.Listener.Addr().String())
	}
	direct := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	proxied := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})}}
	impatient := &http.Client{Transport: direct.Transport, Timeout: time.Nanosecond}
	silent, broken, other := speaks(t, ""), speaks(t, "HTTP/1.1 200 OK\r\n"), speaks(t, "SSH-2.0-OpenSSH_9.2\r\n")
	for name, c := range map[string]struct {
		client    *http.Client
		url, want string
	}{
		"nobody listens":      {direct, "http://127.0.0.1:1/v3", "no answer from 127.0.0.1:1: connection refused"},
		"no such host":        {&http.Client{Transport: failing{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nobody.invalid"}}}}, "http://nobody.invalid:5000/v3", "no answer from nobody.invalid:5000: no such host"},
		"no such proxy":       {proxied, "http://127.0.0.1:2/v3", "no answer from 127.0.0.1:2: the proxy that is to be asked for it cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused"},
		"ends":                {direct, "http://" + silent, "no answer from " + silent + ": it broke the connection off"},
		"breaks off":          {direct, "http://" + broken, "no answer from " + broken + ": it broke the connection off"},
		"no HTTP":             {direct, "http://" + other, "no answer from " + other + ": it does not speak HTTP"},
		"no TLS":              {direct, "https://" + other, "no answer from " + other + ": it does not speak TLS"},
		"HTTP without TLS":    {direct, "https://" + plain.Listener.Addr().String(), "no answer from " + plain.Listener.Addr().String() + ": it speaks plain HTTP, and not TLS"},
		"too slow":            {impatient, plain.URL, "no answer from " + plain.Listener.Addr().String() + ": none came in time"},
		"an unknown CA":       {direct, secure.URL, "no answer from " + secure.Listener.Addr().String() + ": x509: certificate signed by unknown authority"},
		"certificate's name":  {trusting, "https://" + stranger, "no answer from " + stranger + ": its certificate is for example.com, and not for stranger.test"},
		"an error of another": {&http.Client{Transport: failing{errors.New("x.test answered with a web page")}}, "http://x.test/v3", "x.test answered with a web page"},
		"nothing is known":    {&http.Client{Transport: failing{errors.New("broken")}}, "http://x.test/v3", `Get "http://x.test/v3": broken`},
		"interrupted":         {&http.Client{Transport: failing{context.Canceled}}, "http://x.test/v3", `Get "http://x.test/v3": context canceled`},
		"stands still":        {&http.Client{Transport: failing{&IdleError{"x.test", time.Minute}}}, "http://x.test/v3", "nothing moved between here and x.test for 1m0s"},
		"no host":             {direct, "/v3", `Get "/v3": unsupported protocol scheme ""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.client.Get(c.url)
			got := InWords(fmt.Errorf("look: %w", err))
			if got.Error() != "look: "+c.want || !errors.Is(got, err) {
				t.Errorf("%v is %q, want %q", err, got, "look: "+c.want)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// TestInWordsOfOthers leaves alone what is no request that failed.
func TestInWordsOfOthers(t *testing.T) {
	t.Parallel()
	parsing := &url.Error{Op: "parse", URL: "127.0.0.1:5000/v3", Err: errors.New("first path segment in URL cannot contain colon")}
	for _, err := range []error{nil, syscall.ECONNREFUSED, io.ErrUnexpectedEOF, parsing} {
		if got := InWords(err); got != err {
			t.Errorf("%v is %v", err, got)
		}
	}
}

// TestTrustHint: a CA is no help against another name, and neither against what has nothing to do with certificates.
func TestTrustHint(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"its CA belongs in /etc/docker/certs.d/r:5000/ca.crt, where 'ndock registry trust r:5000' puts it":                      x509.UnknownAuthorityError{},
		"call it as its certificate does; 'ndock registry deploy --tls-name NAME' adds a name to that of a registry of ndock's": x509.HostnameError{Certificate: &x509.Certificate{}, Host: "r"},
		"": x509.CertificateInvalidError{Reason: x509.Expired},
	} {
		if got := TrustHint(fmt.Errorf("ask: %w", err), "r:5000"); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
