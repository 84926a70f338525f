package registry

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
	// renewal is what is left of a certificate when another takes its place.
	renewal = 30 * 24 * time.Hour
	// overlap is how long a certificate and the next one of a series are both valid.
	overlap = 2 * renewal
	// authorityRenewal is what is left of a CA when a deployment makes another one, which other hosts have to be told.
	authorityRenewal = 90 * 24 * time.Hour
	// longestSeries bounds what is read of one.
	longestSeries = 16
)

// A pair is a certificate, with its chain, and its key, both as PEM.
type pair struct{ cert, key []byte }

// parse returns the first certificate and the key, if they belong together.
func (p pair) parse() (*x509.Certificate, crypto.PrivateKey, error) {
	parsed, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, nil, err
	}
	return parsed.Leaf, parsed.PrivateKey, nil
}

// covers tells whether the certificate is the CA's, has all the names, and is far from its end.
func (p pair) covers(names []string, ca pair, now time.Time) bool {
	return p.verify(names, ca, now.Add(renewal)) == nil
}

func (p pair) verify(names []string, ca pair, at time.Time) error {
	leaf, _, err := p.parse()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.cert)
	for _, name := range names {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at}); err != nil {
			return err
		}
	}
	return nil
}

// names are those of the certificate; none where it cannot be read.
func (p pair) names() []string {
	leaf, _, err := p.parse()
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

// A series is a server's certificates, of which each is valid before the one before it ends.
type series []pair

// at returns the one to show: the first that is valid for a while, or the one that ends last.
func (s series) at(now time.Time) pair {
	var best pair
	var end time.Time
	for _, one := range s {
		leaf, _, err := one.parse()
		switch {
		case err != nil, now.Before(leaf.NotBefore):
		case leaf.NotAfter.After(now.Add(renewal)):
			return one
		case leaf.NotAfter.After(end):
			best, end = one, leaf.NotAfter
		}
	}
	return best
}

// end is when the last of them ends; zero where there is none.
func (s series) end() (last time.Time) {
	for _, one := range s {
		if leaf, _, err := one.parse(); err == nil && leaf.NotAfter.After(last) {
			last = leaf.NotAfter
		}
	}
	return last
}

// encode is a file with all of them, each before its key.
func (s series) encode() []byte {
	var text []byte
	for _, one := range s {
		text = append(append(text, one.cert...), one.key...)
	}
	return text
}

// parseSeries reads what encode writes. What follows something else than that is left out.
func parseSeries(text []byte) (all series) {
	var next pair
	for block, rest := pem.Decode(text); block != nil && len(all) < longestSeries; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			next.cert = append(next.cert, pem.EncodeToMemory(block)...)
			continue
		}
		next.key = pem.EncodeToMemory(block)
		if _, _, err := next.parse(); err != nil {
			return all
		}
		all, next = append(all, next), pair{}
	}
	return all
}

// readPair reads a certificate and its key, and refuses what clients would refuse later; it returns it all the same.
func readPair(certFile, keyFile string, now time.Time) (pair, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return pair{}, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return pair{}, fmt.Errorf("read the key: %w", err)
	}
	given := pair{cert: cert, key: key}
	leaf, _, err := given.parse()
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

// end is that of the certificate; zero where it cannot be read.
func (p pair) end() time.Time { return series{p}.end() }

// name is what a given certificate calls its server, or the other name where it calls it nothing in particular.
func (p pair) name(other string) string {
	leaf, _, err := p.parse()
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
