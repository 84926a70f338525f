package trust

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"ndock/registry/pki"
)

// Trusted is a registry of ndock, on any host, that Docker on this host trusts.
type Trusted struct {
	Names   []string  // HOST:PORT, all by which it is trusted
	Expires time.Time // of the certificate that it shows; zero when it does not answer
	CA      time.Time // when the CA that is trusted ends
	Err     error     // why it does not answer, or why clients refuse what it shows
}

// Find returns the registries that Docker on this host trusts by a CA of ndock. It connects to them, and sends nothing.
func Find(ctx context.Context, certsDir string, timeout time.Duration) ([]Trusted, error) {
	present, err := os.ReadDir(certsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at what Docker trusts: %w", err)
	}
	names, authorities := map[string][]string{}, map[string]*x509.Certificate{}
	var order []string
	for _, one := range present {
		_, port, err := net.SplitHostPort(one.Name())
		ca := ndockAuthority(Certs{certsDir}.file(one.Name()))
		if err != nil || ca == nil {
			continue
		}
		key := port + " " + pki.Fingerprint(ca)
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		names[key], authorities[key] = append(names[key], one.Name()), ca
	}
	var all []Trusted
	for _, key := range order {
		all = append(all, probe(ctx, names[key], authorities[key], timeout))
	}
	return all, nil
}

// ndockAuthority returns the CA of ndock in a file; nil for none.
func ndockAuthority(file string) *x509.Certificate {
	text, _ := os.ReadFile(file)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if one, err := x509.ParseCertificate(block.Bytes); err == nil && one.Subject.CommonName == pki.AuthorityName {
			return one
		}
	}
	return nil
}

// probe asks the registry by one name after the other, until it answers.
func probe(ctx context.Context, names []string, ca *x509.Certificate, timeout time.Duration) Trusted {
	found := Trusted{Names: names, CA: ca.NotAfter}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, name := range names {
		chain, err := pki.ChainOf(ctx, name)
		if err != nil {
			found.Err = err
			continue
		}
		found.Expires, found.Err = chain[0].NotAfter, pki.VerifyChain(chain, ca, name)
		return found
	}
	return found
}

// Warning returns what will soon keep clients away, and how to fix it; empty when all is well.
func (t Trusted) Warning(now time.Time) (what, fix string) {
	switch name := t.Names[0]; {
	case t.CA.Before(now.Add(pki.AuthorityRenewal)):
		return fmt.Sprintf("the CA of registry %s ends on %s", name, t.CA.Format(time.DateOnly)), "ndock registry deploy, on its host; then ndock registry trust " + name
	case t.Expires.IsZero():
		return "", ""
	case t.Expires.Before(now.Add(pki.Renewal)):
		return fmt.Sprintf("the certificate of registry %s ends on %s", name, t.Expires.Format(time.DateOnly)), "ndock registry deploy, on its host"
	case t.Err != nil:
		return fmt.Sprintf("registry %s: %v", name, t.Err), "ndock registry trust " + name
	}
	return "", ""
}

// String returns its first name, and how many more it has.
func (t Trusted) String() string {
	if len(t.Names) == 1 {
		return t.Names[0]
	}
	return fmt.Sprintf("%s (and %s)", t.Names[0], strings.Join(t.Names[1:], ", "))
}
