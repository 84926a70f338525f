package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	authorityName     = "ndock registry CA"
	authorityLifetime = 10 * 365 * 24 * time.Hour
	serverLifetime    = 825 * 24 * time.Hour // the longest that all clients put up with
	skew              = time.Hour            // by which clients' clocks may be late
)

// newAuthority makes a CA. It signs nothing but the certificates of this one registry.
func newAuthority(now time.Time) (pair, error) {
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: authorityName},
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, now)
}

// issueAll signs certificates for a server, one after the other until the CA's own end, so that nobody needs the CA's key
// before. Each shows the CA after it, so that another host can trust that by its fingerprint.
func (ca pair) issueAll(names []string, now time.Time) (series, error) {
	parent, _, err := ca.parse()
	if err != nil {
		return nil, err
	}
	var all series
	for start := now; len(all) < longestSeries; start = all.end().Add(-overlap) {
		one, err := ca.issue(names, start)
		if err != nil {
			return nil, err
		}
		one.cert = append(one.cert, ca.cert...)
		all = append(all, one)
		if !all.end().Before(parent.NotAfter) {
			break
		}
	}
	return all, nil
}

// issue signs a certificate for a server that has these names and addresses. It does not outlive the CA.
func (ca pair) issue(names []string, now time.Time) (pair, error) {
	parent, _, err := ca.parse()
	if err != nil {
		return pair{}, err
	}
	end := now.Add(serverLifetime)
	if end.After(parent.NotAfter) {
		end = parent.NotAfter
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "ndock registry"},
		NotAfter:    end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return sign(template, &ca, now)
}

// sign completes the template with a new key; without a CA, it signs itself.
func sign(template *x509.Certificate, ca *pair, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("make a key: %w", err)
	}
	parent, signer := template, crypto.PrivateKey(key)
	if ca != nil {
		if parent, signer, err = ca.parse(); err != nil {
			return pair{}, err
		}
	}
	template.NotBefore = now.Add(-skew)
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, fmt.Errorf("make a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// renew makes certificates for the names, by this CA as long as it does.
func (ca pair) renew(names []string, now time.Time) (pair, series, error) {
	if ca.end().After(now.Add(authorityRenewal)) {
		server, err := ca.issueAll(names, now)
		if err == nil && server[0].covers(names, ca, now) {
			return ca, server, nil
		}
	}
	ca, err := newAuthority(now)
	if err != nil {
		return pair{}, nil, err
	}
	server, err := ca.issueAll(names, now)
	return ca, server, err
}
