package registry

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// renewal is what a kept certificate must have left.
const renewal = 30 * 24 * time.Hour

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
	leaf, _, err := p.parse()
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.cert)
	for _, name := range names {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now.Add(renewal)})
		if err != nil {
			return false
		}
	}
	return true
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
