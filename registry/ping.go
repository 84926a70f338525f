package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// client trusts what clients will: the CA, or the very certificate that was given.
func (d *deployment) client() *http.Client {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch d.mode() {
	case tlsSelfSigned:
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(d.files[fileCA])
	case tlsGiven:
		config.InsecureSkipVerify = true // its CA may be known to the clients only: compared byte for byte instead
		config.VerifyConnection = d.showsGiven
	}
	var dialer net.Dialer
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: config,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", d.at.local()) // no resolver, no proxy
		},
	}}
}

func (d *deployment) showsGiven(state tls.ConnectionState) error {
	leaf, _, err := d.given.parse()
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
