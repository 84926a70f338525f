package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// fingerprint is by what people know a certificate.
func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// parseFingerprint reads it as status shows it, or as openssl does.
func parseFingerprint(text string) (string, error) {
	digits := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	digits = strings.TrimPrefix(digits, "sha256")
	if raw, err := hex.DecodeString(digits); text != "" && (err != nil || len(raw) != sha256.Size) {
		return "", fmt.Errorf("fingerprint %q is not sha256: and 64 hexadecimal digits", text)
	}
	return "sha256:" + digits, nil
}

func encode(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// firstFingerprint is that of the first certificate in a PEM text; empty where there is none.
func firstFingerprint(text []byte) string {
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return fingerprint(certificate)
}

// shownBy returns the certificates that a registry shows, whoever it is.
func shownBy(ctx context.Context, registry string) ([]*x509.Certificate, error) {
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

// choose returns the certificate that has the fingerprint; or the CA, if somebody agrees that it is the right one.
func (o TrustOptions) choose(chain []*x509.Certificate) (*x509.Certificate, error) {
	if o.Fingerprint != "" {
		wanted, err := parseFingerprint(o.Fingerprint)
		if err != nil {
			return nil, err
		}
		for _, one := range chain {
			if fingerprint(one) == wanted {
				return one, nil
			}
		}
		return nil, &Error{
			Err:  errors.New("it shows no certificate with this fingerprint"),
			hint: "'ndock registry status', on the registry's host, has its CA's; if that is the one, somebody is between you and it",
		}
	}
	trusted, _ := os.ReadFile(trust{o.CertsDir}.file(o.Registry)) // what cannot be read is told when it is edited
	for _, one := range chain {
		if bytes.Contains(trusted, encode(one)) {
			return one, nil
		}
	}
	last := chain[len(chain)-1]
	if last.CheckSignatureFrom(last) != nil {
		return nil, &Error{Err: errors.New("it does not show its CA"), hint: "--ca FILE names it"}
	}
	if o.Agree == nil {
		return nil, errors.New("nobody says that its CA is the right one")
	}
	return last, o.Agree(fmt.Sprintf("%s shows the CA %q, whose fingerprint is\n%s\nIs it the right one?", o.Registry, last.Subject.CommonName, fingerprint(last)))
}

// verify tells what clients would not like about the certificates if they trusted that one.
func verify(chain []*x509.Certificate, trusted *x509.Certificate, registry string) error {
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
