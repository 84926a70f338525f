package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"ndock/registry"
	"ndock/registry/config"
	"ndock/registry/internal/rollback"
	"ndock/registry/pki"
)

// Options say which registry Docker on this host shall trust, or no more. The registry may be on another host.
type Options struct {
	Registry    string // HOST:PORT, as docker pull has it
	CAFile      string // PEM; what the registry shows without, if Fingerprint or Agree says so
	Fingerprint string // of the CA that the registry shows, sha256:HEX
	Mirror      bool   // Docker asks it before Docker Hub
	Remove      bool   // trust it no more, and have it no mirror

	// Agree is asked whether a CA is the right one where there is nothing to know it by.
	Agree func(question string) error

	CertsDir   string // CertsDir when empty
	DaemonFile string // Docker's configuration; /etc/docker/daemon.json when empty
	PIDFile    string // of Docker; /var/run/docker.pid when empty
}

// Check returns what is wrong with the options.
func (o Options) Check() error {
	at, err := config.ParseAddress(o.Registry)
	if err == nil && !config.IsHostName(at.Host) {
		err = fmt.Errorf("%q is not HOST:PORT", o.Registry)
	}
	if n, wrong := strconv.Atoi(at.Port); err == nil && (wrong != nil || n == 0) {
		err = fmt.Errorf("%q has no port between 1 and 65535", o.Registry)
	}
	switch {
	case err != nil:
		return err
	case o.CAFile != "" && o.Fingerprint != "":
		return errors.New("--ca and --fingerprint exclude each other")
	case o.Remove && (o.Mirror || o.Fingerprint != ""):
		return errors.New("--remove undoes all: it takes no --mirror and no --fingerprint")
	}
	_, err = pki.ParseFingerprint(o.Fingerprint)
	return err
}

func (o Options) withDefaults() Options {
	for field, value := range map[*string]string{
		&o.CertsDir: CertsDir, &o.DaemonFile: "/etc/docker/daemon.json", &o.PIDFile: "/var/run/docker.pid",
	} {
		if *field == "" {
			*field = value
		}
	}
	return o
}

// A Change is one thing to do on this host.
type Change struct {
	What string                      // is done
	Do   func(context.Context) error // leaves all as it was when it fails

	undo rollback.Step
}

// Apply makes the changes and reports each. When one fails, it undoes those before it.
func Apply(ctx context.Context, changes []Change, report registry.Reporter) error {
	var done []rollback.Step
	err := ctx.Err()
	for _, change := range changes {
		if err != nil {
			break
		}
		report.Step("%s", change.What)
		if err = change.Do(ctx); err == nil {
			done = append(done, change.undo)
			err = ctx.Err()
		}
	}
	if err == nil {
		return nil
	}
	slices.Reverse(done)
	return rollback.Undo(ctx, report, rollback.StepLimit, err, done)
}

// Plan returns the changes for Docker on this host to trust a registry, or to trust it no more.
func Plan(ctx context.Context, docker Informer, o Options) ([]Change, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	m := mirror{docker: docker, url: "https://" + o.Registry, file: o.DaemonFile, pidFile: o.PIDFile}
	if !o.Remove {
		ca, err := o.ca(ctx)
		if err != nil {
			return nil, fmt.Errorf("trust %s: %w", o.Registry, err)
		}
		return o.changes(m, o.Mirror, func(old []byte) []byte { return addCA(old, ca) })
	}
	given, err := o.givenCA()
	if err != nil {
		return nil, fmt.Errorf("trust %s no more: %w", o.Registry, err)
	}
	return o.changes(m, true, func(old []byte) []byte {
		if len(given) > 0 {
			return bytes.ReplaceAll(old, given, nil)
		}
		return removeCAs(old)
	})
}

func (o Options) changes(m mirror, withMirror bool, edit func(old []byte) []byte) ([]Change, error) {
	var all []Change
	t := Certs{o.CertsDir}
	old, content, err := t.edited(o.Registry, edit)
	if err != nil {
		return nil, registry.AsRoot("look at what Docker trusts", err)
	}
	if !bytes.Equal(old, content) {
		all = append(all, Change{
			What: "put the CA into " + t.file(o.Registry),
			Do:   func(context.Context) error { return registry.AsRoot("trust "+o.Registry, t.write(o.Registry, content)) },
			undo: t.UndoSteps([]Edit{{o.Registry, old, content}})[0],
		})
	}
	if o.Remove && len(all) > 0 {
		all[0].What = "take the CA out of " + t.file(o.Registry)
	}
	if !withMirror {
		return all, nil
	}
	change, err := m.plan(o.Remove)
	if err != nil || change == nil {
		return all, err
	}
	if o.Remove { // Docker is not to ask a mirror that it trusts no more
		return append([]Change{*change}, all...), nil
	}
	return append(all, *change), nil
}

// ca returns the CA to trust.
func (o Options) ca(ctx context.Context) ([]byte, error) {
	if o.CAFile != "" {
		return o.givenCA()
	}
	chain, err := pki.ChainOf(ctx, o.Registry)
	if err != nil {
		return nil, err
	}
	one, err := o.chooseCA(chain)
	if err != nil {
		return nil, err
	}
	return pki.EncodeCertificate(one), pki.VerifyChain(chain, one, o.Registry)
}

// givenCA returns the content of the file, all of which Docker will trust.
func (o Options) givenCA() ([]byte, error) {
	if o.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	if bytes.Contains(text, []byte("PRIVATE KEY")) {
		return nil, fmt.Errorf("read the CA: %q has a private key in it", o.CAFile)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the CA: %q has no certificate in it", o.CAFile)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	return text, nil
}

// chooseCA returns the certificate with the fingerprint; without one, the CA, if it is trusted already or somebody
// agrees.
func (o Options) chooseCA(chain []*x509.Certificate) (*x509.Certificate, error) {
	if o.Fingerprint != "" {
		wanted, err := pki.ParseFingerprint(o.Fingerprint)
		if err != nil {
			return nil, err
		}
		for _, one := range chain {
			if pki.Fingerprint(one) == wanted {
				return one, nil
			}
		}
		return nil, &registry.Error{
			Err:  errors.New("it shows no certificate with this fingerprint"),
			Help: "'ndock registry status', on the registry's host, has its CA's; if that is the one, somebody is between you and it",
		}
	}
	trusted, _ := os.ReadFile(Certs{o.CertsDir}.file(o.Registry)) // what cannot be read is told when it is edited
	for _, one := range chain {
		if bytes.Contains(trusted, pki.EncodeCertificate(one)) {
			return one, nil
		}
	}
	last := chain[len(chain)-1]
	if last.CheckSignatureFrom(last) != nil {
		return nil, &registry.Error{Err: errors.New("it does not show its CA"), Help: "--ca FILE names it"}
	}
	if o.Agree == nil {
		return nil, errors.New("nobody says that its CA is the right one")
	}
	return last, o.Agree(fmt.Sprintf("%s shows the CA %q, whose fingerprint is\n%s\nIs it the right one?", o.Registry, last.Subject.CommonName, pki.Fingerprint(last)))
}
