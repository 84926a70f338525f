package pki

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
	AuthorityName     = "ndock registry CA"
	AuthorityLifetime = 10 * 365 * 24 * time.Hour
	ServerLifetime    = 825 * 24 * time.Hour // the longest that all clients put up with
	clockSkew         = time.Hour            // by which clients' clocks may be late
)

// NewAuthority makes a CA. It signs nothing but the certificates of this one registry.
func NewAuthority(now time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: AuthorityName},
		NotAfter:              now.Add(AuthorityLifetime),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil, now)
}

// IssueAll signs certificates for a server, one after the other until the CA's end, so that the CA's key is not needed
// before. Each comes with the CA, so that another host can trust that by its fingerprint.
func (ca Pair) IssueAll(names []string, now time.Time) (Series, error) {
	parent, _, err := ca.Parse()
	if err != nil {
		return nil, err
	}
	var all Series
	for start := now; len(all) < maxSeries; start = all.End().Add(-Overlap) {
		one, err := ca.Issue(names, start)
		if err != nil {
			return nil, err
		}
		one.Cert = append(one.Cert, ca.Cert...)
		all = append(all, one)
		if !all.End().Before(parent.NotAfter) {
			break
		}
	}
	return all, nil
}

// Issue signs a certificate with these names and addresses. It does not outlive the CA.
func (ca Pair) Issue(names []string, now time.Time) (Pair, error) {
	parent, _, err := ca.Parse()
	if err != nil {
		return Pair{}, err
	}
	end := now.Add(ServerLifetime)
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

// sign completes the template with a new key, and signs it; without a CA, by itself.
func sign(template *x509.Certificate, ca *Pair, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	parent, signer := template, crypto.PrivateKey(key)
	if ca != nil {
		if parent, signer, err = ca.Parse(); err != nil {
			return Pair{}, err
		}
	}
	template.NotBefore = now.Add(-clockSkew)
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, fmt.Errorf("make a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// Renew issues certificates for the names, by this CA, or by a new one if this one ends soon. It returns the CA.
func (ca Pair) Renew(names []string, now time.Time) (Pair, Series, error) {
	if ca.End().After(now.Add(AuthorityRenewal)) {
		server, err := ca.IssueAll(names, now)
		if err == nil && server[0].Covers(names, ca, now) {
			return ca, server, nil
		}
	}
	ca, err := NewAuthority(now)
	if err != nil {
		return Pair{}, nil, err
	}
	server, err := ca.IssueAll(names, now)
	return ca, server, err
}
