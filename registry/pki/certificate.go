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
	// Renewal is how long before its end a certificate is replaced by the next one.
	Renewal = 30 * 24 * time.Hour
	// Overlap is how long a certificate and the next one of a series are both valid.
	Overlap = 2 * Renewal
	// AuthorityRenewal is how long before its end a deployment replaces a CA. Other hosts have to be told of the new
	// one.
	AuthorityRenewal = 90 * 24 * time.Hour
	// maxSeries bounds how many certificates are read.
	maxSeries = 16
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

// Covers returns whether the certificate is signed by the CA, has all the names, and does not end soon.
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

// Names returns the names and addresses of the certificate; none if it cannot be read.
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

// A Series is the certificates of a server, each of which begins before the one before it ends.
type Series []Pair

// At returns the certificate to show: the first one that does not end soon, or else the one that ends last.
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

// End returns when the last one ends; zero for none.
func (s Series) End() (last time.Time) {
	for _, one := range s {
		if leaf, _, err := one.Parse(); err == nil && leaf.NotAfter.After(last) {
			last = leaf.NotAfter
		}
	}
	return last
}

// Encode returns a file with all of them, each before its key.
func (s Series) Encode() []byte {
	var text []byte
	for _, one := range s {
		text = append(append(text, one.Cert...), one.Key...)
	}
	return text
}

// ParseSeries reads what Encode writes. It ignores what follows anything else.
func ParseSeries(text []byte) (all Series) {
	var next Pair
	for block, rest := pem.Decode(text); block != nil && len(all) < maxSeries; block, rest = pem.Decode(rest) {
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

// ReadPair reads a certificate and its key. It returns them also with an error, which says why clients would refuse
// them.
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

// End returns when the certificate ends; zero if it cannot be read.
func (p Pair) End() time.Time { return Series{p}.End() }

// NameOr returns other if the certificate has it, or a name that the certificate has.
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
