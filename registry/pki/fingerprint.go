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
)

// Fingerprint is by what people know a certificate.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseFingerprint reads it as status shows it, or as openssl does.
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

// FirstFingerprint is that of the first certificate in a PEM text; empty where there is none.
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

// ChainOf returns the certificates that a registry shows, whoever it is.
func ChainOf(ctx context.Context, registry string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} // nothing is sent
	conn, err := dialer.DialContext(ctx, "tcp", registry)
	if err != nil {
		return nil, fmt.Errorf("look at its certificate: %w", err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}

// VerifyChain tells what clients would not like about the certificates if they trusted that one.
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
