package registry

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// CertsDir is where Docker looks for the CAs of registries: HOST:PORT/*.crt.
const CertsDir = "/etc/docker/certs.d"

// trust is such a directory. Its files are the operator's: a CA of ours is added to them and taken from them.
type trust struct{ dir string }

// sync makes Docker trust the CA for these registries (HOST:PORT) and no others, and tells if that changed a file.
func (t trust) sync(registries []string, ca []byte) (changed bool, err error) {
	if len(ca) == 0 {
		return false, nil
	}
	present, err := os.ReadDir(t.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look at what Docker trusts: %w", err)
	}
	for _, one := range registries {
		did, err := t.edit(one, func(old []byte) []byte { return with(old, ca) })
		if err != nil {
			return changed, t.denied("let Docker trust "+one, err)
		}
		changed = changed || did
	}
	for _, one := range present {
		if slices.Contains(registries, one.Name()) {
			continue
		}
		did, err := t.edit(one.Name(), func(old []byte) []byte { return bytes.ReplaceAll(old, ca, nil) })
		if err != nil {
			return changed, t.denied("let Docker no longer trust "+one.Name(), err)
		}
		changed = changed || did
	}
	os.Remove(t.dir) // if nothing is left in it
	return changed, nil
}

// edit changes the CAs of one registry; a file and a directory in which nothing is left goes.
func (t trust) edit(registry string, change func(old []byte) []byte) (bool, error) {
	old, content, err := t.edited(registry, change)
	if err != nil || bytes.Equal(old, content) {
		return false, err
	}
	return true, t.write(registry, content)
}

func (t trust) file(registry string) string { return filepath.Join(t.dir, registry, "ca.crt") }

func (t trust) edited(registry string, change func(old []byte) []byte) (old, content []byte, err error) {
	old, err = os.ReadFile(t.file(registry))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	return old, change(old), nil
}

func (t trust) write(registry string, content []byte) error {
	file := t.file(registry)
	if len(content) > 0 {
		return publish(file, content)
	}
	if err := os.Remove(file); err != nil {
		return err
	}
	os.Remove(filepath.Dir(file)) // which fails, as it should, when the operator has more in it
	return nil
}

// with adds a CA, in the place of one that an earlier registry of ours had there.
func with(old, ca []byte) []byte {
	if bytes.Contains(old, ca) {
		return old
	}
	content := withoutOurs(old)
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n')
	}
	return append(content, ca...)
}

// withoutOurs takes the CAs of registries of ours out.
func withoutOurs(old []byte) []byte {
	content := slices.Clone(old)
	for block, rest := pem.Decode(old); block != nil; block, rest = pem.Decode(rest) {
		if one, err := x509.ParseCertificate(block.Bytes); err == nil && one.Subject.CommonName == authorityName {
			content = bytes.ReplaceAll(content, pem.EncodeToMemory(block), nil)
		}
	}
	return content
}

func (t trust) denied(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &Error{Op: op, Err: err, hint: "run it as root"}
	}
	return fmt.Errorf("%s: %w", op, err)
}
