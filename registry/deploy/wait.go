package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// pollInterval is how often the new registry is asked whether it is up.
const pollInterval = 100 * time.Millisecond

// waitUntilUp returns when the registry answers clients, or says why it will not.
func waitUntilUp(ctx context.Context, t target, done progress, wanted plan, limit time.Duration) error {
	return waitUntilAnswers(ctx, t, done, wanted, limit, func(ctx context.Context) error { return t.alive(ctx, done) })
}

func waitUntilAnswers(ctx context.Context, t target, done progress, wanted plan, limit time.Duration, alive func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := newClient(wanted)
	defer client.CloseIdleConnections()
	for {
		if err := alive(ctx); err != nil {
			return err
		}
		err := ping(limited, client, wanted.url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the registry: %w", ctx.Err())
		case <-limited.Done():
			return fmt.Errorf("wait for the registry: no answer in %s: %w%s", limit, err, t.logTail(ctx, done))
		case <-time.After(pollInterval):
		}
	}
}

// lastLine returns the last error of ndock in a log, or else its last line, after a colon; empty for none.
func lastLine(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "ndock: "); ok {
			last = said
		} else if line != "" && !strings.HasPrefix(line, "hint: ") {
			last = line
		}
	}
	if last == "" {
		return ""
	}
	return ": " + last
}

// newClient returns a client that trusts what clients will: the CA, or the very certificate that was given.
func newClient(p plan) *http.Client {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch p.tls {
	case tlsSelfSigned:
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(p.files[fileCA])
	case tlsGiven:
		config.InsecureSkipVerify = true // its CA may be known to the clients only: compared byte for byte instead
		config.VerifyConnection = p.showsGiven
	}
	var dialer net.Dialer
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: config,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", p.at.Local()) // no resolver, no proxy
		},
	}}
}

func (p plan) showsGiven(state tls.ConnectionState) error {
	leaf, _, err := p.files.pair(fileCert, fileKey).Parse()
	if err == nil && !bytes.Equal(state.PeerCertificates[0].Raw, leaf.Raw) {
		return errors.New("another certificate is shown there")
	}
	return err
}

// ping succeeds when a registry answers, be it that it wants a login.
func ping(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v2/", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("GET %s/v2/ answered %s", url, answer.Status)
	}
	return nil
}
