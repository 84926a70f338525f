// Package pki makes and reads the certificates of a registry: a CA of its own, and a series of server certificates that lasts as
// long as the CA, so that the registry can renew its certificate without the CA's key.
package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// Renewal is what is left of a certificate when another takes its place.
	Renewal = 30 * 24 * time.Hour
	// Overlap is how long a certificate and the next one of a series are both valid.
	Overlap = 2 * Renewal
	// AuthorityRenewal is what is left of a CA when a deployment makes another one, which other hosts have to be told.
	AuthorityRenewal = 90 * 24 * time.Hour
	// longestSeries bounds what is read of one.
	longestSeries = 16
)

// A Pair is a certificate, with its chain, and its key, both as PEM.
type Pair struct{ Cert, Key []byte }

// Parse returns the first certificate and the key, if they belong together.
func (p Pair) Parse() (*x509.Certificate, crypto.PrivateKey, error) {
	parsed, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, nil, err
	}
	return parsed.Leaf, parsed.PrivateKey, nil
}

// Covers tells whether the certificate is the CA's, has all the names, and is far from its end.
func (p Pair) Covers(names []string, ca Pair, now time.Time) bool {
	return p.Verify(names, ca, now.Add(Renewal)) == nil
}

// Verify returns why clients that trust the CA would refuse the certificate at that time, by one of the names.
func (p Pair) Verify(names []string, ca Pair, at time.Time) error {
	leaf, _, err := p.Parse()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Cert)
	for _, name := range names {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at}); err != nil {
			return err
		}
	}
	return nil
}

// Names are those of the certificate; none where it cannot be read.
func (p Pair) Names() []string {
	leaf, _, err := p.Parse()
	if err != nil {
		return nil
	}
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A Series is a server's certificates, of which each is valid before the one before it ends.
type Series []Pair

// At returns the one to show: the first that is valid for a while, or the one that ends last.
func (s Series) At(now time.Time) Pair {
	var best Pair
	var end time.Time
	for _, one := range s {
		leaf, _, err := one.Parse()
		switch {
		case err != nil, now.Before(leaf.NotBefore):
		case leaf.NotAfter.After(now.Add(Renewal)):
			return one
		case leaf.NotAfter.After(end):
			best, end = one, leaf.NotAfter
		}
	}
	return best
}

// End is when the last of them ends; zero where there is none.
func (s Series) End() (last time.Time) {
	for _, one := range s {
		if leaf, _, err := one.Parse(); err == nil && leaf.NotAfter.After(last) {
			last = leaf.NotAfter
		}
	}
	return last
}

// Encode is a file with all of them, each before its key.
func (s Series) Encode() []byte {
	var text []byte
	for _, one := range s {
		text = append(append(text, one.Cert...), one.Key...)
	}
	return text
}

// ParseSeries reads what encode writes. What follows something else than that is left out.
func ParseSeries(text []byte) (all Series) {
	var next Pair
	for block, rest := pem.Decode(text); block != nil && len(all) < longestSeries; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			next.Cert = append(next.Cert, pem.EncodeToMemory(block)...)
			continue
		}
		next.Key = pem.EncodeToMemory(block)
		if _, _, err := next.Parse(); err != nil {
			return all
		}
		all, next = append(all, next), Pair{}
	}
	return all
}

// ReadPair reads a certificate and its key, and refuses what clients would refuse later; it returns it all the same.
func ReadPair(certFile, keyFile string, now time.Time) (Pair, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return Pair{}, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return Pair{}, fmt.Errorf("read the key: %w", err)
	}
	given := Pair{Cert: cert, Key: key}
	leaf, _, err := given.Parse()
	if err != nil {
		return given, fmt.Errorf("use certificate %q with key %q: %w", certFile, keyFile, err)
	}
	return given, inTime(leaf, certFile, now)
}

func inTime(leaf *x509.Certificate, file string, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate %q expired on %s", file, leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate %q is not valid before %s", file, leaf.NotBefore.Format(time.DateOnly))
	case leaf.IsCA && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return errors.New("certificate " + file + " is that of a CA, not of a server")
	}
	return nil
}

// End is that of the certificate; zero where it cannot be read.
func (p Pair) End() time.Time { return Series{p}.End() }

// NameOr is what a given certificate calls its server, or the other name where it calls it nothing in particular.
func (p Pair) NameOr(other string) string {
	leaf, _, err := p.Parse()
	if err != nil || leaf.VerifyHostname(other) == nil {
		return other
	}
	for _, name := range leaf.DNSNames {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	return other
}
