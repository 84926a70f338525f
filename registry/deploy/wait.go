package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// interval is how often the new registry is asked whether it is up.
const interval = 100 * time.Millisecond

// wait returns when the registry answers clients, or says why it will not.
func (d *deployment) wait(ctx context.Context) error { return d.waitFor(ctx, d.place.alive) }

func (d *deployment) waitFor(ctx context.Context, alive func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	client := d.client()
	defer client.CloseIdleConnections()
	for {
		if err := alive(ctx); err != nil {
			return err
		}
		err := ping(limited, client, d.url())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the registry: %w", ctx.Err())
		case <-limited.Done():
			return fmt.Errorf("wait for the registry: no answer in %s: %w%s", d.Timeout, err, d.place.lastWords(ctx))
		case <-time.After(interval):
		}
	}
}

// alive tells why the container ended, if it did. The engine starts it again and again, so that it may run by now.
func (d *inContainer) alive(ctx context.Context) error {
	now, err := d.engine.ContainerInspect(ctx, d.id)
	switch {
	case err != nil:
		return explain("look at the registry", err)
	case now.State.Running && !now.State.Restarting && now.RestartCount == 0:
		return nil
	}
	return fmt.Errorf("start the registry: it ended with status %d%s", now.State.ExitCode, d.lastWords(ctx))
}

// lastWords is what the container said last, to end an error with.
func (d *inContainer) lastWords(ctx context.Context) string {
	log, err := d.engine.ContainerLogs(ctx, d.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "100"})
	if err != nil {
		return ""
	}
	defer log.Close()
	var text bytes.Buffer
	stdcopy.StdCopy(&text, &text, io.LimitReader(log, 1<<16)) // part of it is better than nothing
	return lastSaid(text.String())
}

// lastSaid is what ndock said last in a log, after a colon.
func lastSaid(log string) string {
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
			return dialer.DialContext(ctx, "tcp", d.at.Local()) // no resolver, no proxy
		},
	}}
}

func (d *deployment) showsGiven(state tls.ConnectionState) error {
	leaf, _, err := d.given.Parse()
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
