package pki

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"time"

	"ndock/docker/transfer"
)

// Fingerprint returns the SHA-256 fingerprint of a certificate, as sha256:HEX.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseFingerprint reads a fingerprint as status or openssl show it.
func ParseFingerprint(text string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	digits = strings.TrimPrefix(digits, "sha256")
	if raw, err := hex.DecodeString(digits); text != "" && (err != nil || len(raw) != sha256.Size) {
		return "", fmt.Errorf("fingerprint %q is not sha256: and 64 hexadecimal digits", text)
	}
	return "sha256:" + digits, nil
}

// EncodeCertificate returns a certificate as PEM.
func EncodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// FirstFingerprint returns that of the first certificate in a PEM text; empty for none.
func FirstFingerprint(text []byte) string {
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return Fingerprint(certificate)
}

// ChainOf returns the certificates that a registry (HOST:PORT) shows. It verifies nothing.
func ChainOf(ctx context.Context, registry string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} // nothing is sent
	conn, err := dialer.DialContext(ctx, "tcp", registry)
	if err != nil {
		return nil, noCertificate(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}

// noCertificate says why a registry shows none.
func noCertificate(err error) error {
	if reason := transfer.NoAnswer(err); reason != "" {
		err = transfer.Reword("there is no answer: "+reason, err)
	}
	return fmt.Errorf("look at its certificate: %w", err)
}

// VerifyChain returns why clients that trust that one certificate would refuse the chain of the registry.
func VerifyChain(chain []*x509.Certificate, trusted *x509.Certificate, registry string) error {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{DNSName: host, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	options.Roots.AddCert(trusted)
	for _, one := range chain[1:] {
		options.Intermediates.AddCert(one)
	}
	if _, err = chain[0].Verify(options); err != nil {
		return fmt.Errorf("clients would refuse it all the same: %w", err)
	}
	return nil
}
