package transfer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// InWords returns an error that says in words why a request of HTTP failed, in place of its method, its address and
// net/http's own words. It wraps err. An error that it has no words for it returns as it is.
func InWords(err error) error {
	var request *url.Error
	if !errors.As(err, &request) || errors.Is(err, context.Canceled) {
		return err
	}
	at, bad := url.Parse(request.URL)
	if bad != nil || at.Host == "" {
		return err
	}
	text := request.Err.Error() // ours name the host
	if reason := NoAnswer(request.Err); reason != "" {
		text = fmt.Sprintf("no answer from %s: %s", at.Host, reason)
	} else if !strings.Contains(text, at.Host) {
		return err
	}
	return Reword(strings.Replace(err.Error(), request.Error(), text, 1), err)
}

// Reword returns an error that says text and wraps err, whose own words it leaves out.
func Reword(text string, err error) error { return &reworded{text, err} }

type reworded struct {
	text  string
	cause error
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.cause }

// NoAnswer says in words why a host has not answered a request of HTTP. It is empty where the error says so itself.
func NoAnswer(err error) string {
	var idle *IdleError
	var timeout net.Error
	switch {
	case errors.As(err, &idle):
		return ""
	case errors.As(err, &timeout) && timeout.Timeout():
		return "none came in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it broke the connection off"
	case strings.Contains(err.Error(), "malformed HTTP"): // net/http has no value for this and the next
		return "it does not speak HTTP"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it speaks plain HTTP, and not TLS"
	}
	if reason := notConnected(err); reason != "" {
		return reason
	}
	return notTrusted(err)
}

// notConnected says why there is no connection to a host, or to the proxy that is between.
func notConnected(err error) string {
	var broken *net.OpError
	var name *net.DNSError
	switch {
	case !errors.As(err, &broken) || broken.Op != "dial" && broken.Op != "proxyconnect":
		return ""
	case broken.Op == "proxyconnect":
		return "the proxy that is to be asked for it cannot be reached: " + broken.Err.Error()
	case errors.As(err, &name):
		return name.Err
	}
	return innermost(broken).Error()
}

func innermost(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

// notTrusted says what is wrong with a host's certificate, or that it has none.
func notTrusted(err error) string {
	var record tls.RecordHeaderError
	var other x509.HostnameError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &other) && len(other.Certificate.DNSNames) > 0:
		return fmt.Sprintf("its certificate is for %s, and not for %s", other.Certificate.DNSNames[0], other.Host)
	case errors.As(err, &other):
		return "its certificate is not for " + other.Host
	case errors.As(err, &untrusted):
		return untrusted.Err.Error()
	}
	return ""
}

// TrustHint says what may help where a registry's certificate is refused. It is empty for other errors.
func TrustHint(err error, registry string) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("its CA belongs in /etc/docker/certs.d/%s/ca.crt, where 'ndock registry trust %s' puts it", registry, registry)
	case errors.As(err, &other):
		return "call it as its certificate does; 'ndock registry deploy --tls-name NAME' adds a name to that of a registry of ndock's"
	}
	return ""
}
