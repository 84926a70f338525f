// Package trust edits what Docker on this host trusts: the CAs of registries in /etc/docker/certs.d, and registry mirrors in
// daemon.json. The files belong to the operator; what is not ndock's stays as it is.
package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ndock/registry"
	"ndock/registry/internal/atomicfile"
	"ndock/registry/internal/rollback"
	"ndock/registry/pki"
)

// CertsDir is where Docker looks for the CAs of registries: HOST:PORT/*.crt.
const CertsDir = "/etc/docker/certs.d"

// Certs is such a directory. Its files belong to the operator: ndock adds a CA to them and takes it out again.
type Certs struct{ Dir string }

// An Edit is the change of one registry's CA file.
type Edit struct {
	registry string
	old, new []byte
}

// Sync makes Docker trust the CA for these registries (HOST:PORT) and no others. It returns what it has changed;
// nothing if it fails, because it undoes that then.
func (t Certs) Sync(report registry.Reporter, registries []string, ca []byte) ([]Edit, error) {
	edits, err := t.edits(registries, ca)
	if err != nil {
		return nil, fmt.Errorf("look at what Docker trusts: %w", err)
	}
	for i, one := range edits {
		if err := t.write(one.registry, one.new); err != nil {
			op := "let Docker trust " + one.registry
			if !slices.Contains(registries, one.registry) {
				op = "let Docker no longer trust " + one.registry
			}
			return nil, rollback.Undo(context.Background(), report, rollback.StepLimit, registry.AsRoot(op, err), t.UndoSteps(edits[:i+1]))
		}
	}
	os.Remove(t.Dir) // if nothing is left in it
	return edits, nil
}

func (t Certs) edits(registries []string, ca []byte) ([]Edit, error) {
	if len(ca) == 0 {
		return nil, nil
	}
	present, err := os.ReadDir(t.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := slices.Clone(registries)
	for _, one := range present {
		names = append(names, one.Name())
	}
	slices.Sort(names)
	var all []Edit
	for _, name := range slices.Compact(names) {
		old, content, err := t.edited(name, func(old []byte) []byte {
			if slices.Contains(registries, name) {
				return addCA(old, ca)
			}
			return bytes.ReplaceAll(old, ca, nil)
		})
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(old, content) {
			all = append(all, Edit{name, old, content})
		}
	}
	return all, nil
}

// UndoSteps returns steps that undo the edits, the last one first.
func (t Certs) UndoSteps(edits []Edit) []rollback.Step {
	var all []rollback.Step
	for _, one := range slices.Backward(edits) {
		byHand := "take the CA of ndock out of " + t.file(one.registry)
		if len(one.old) > 0 {
			byHand = "put the CA that it had into " + t.file(one.registry)
		}
		all = append(all, rollback.Step{Title: "trust in " + one.registry, Do: func(context.Context) error { return t.write(one.registry, one.old) }, ByHand: byHand})
	}
	return all
}

func (t Certs) file(registry string) string { return filepath.Join(t.Dir, registry, "ca.crt") }

func (t Certs) edited(registry string, change func(old []byte) []byte) (old, content []byte, err error) {
	old, err = os.ReadFile(t.file(registry))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	return old, change(old), nil
}

func (t Certs) write(registry string, content []byte) error {
	file := t.file(registry)
	if len(content) > 0 {
		return atomicfile.Publish(file, content)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	os.Remove(filepath.Dir(file)) // which fails, as it should, when the operator has more in it
	return nil
}

// addCA adds a CA to the text, in the place of one of an earlier registry of ndock.
func addCA(old, ca []byte) []byte {
	if bytes.Contains(old, ca) {
		return old
	}
	content := removeCAs(old)
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n')
	}
	return append(content, ca...)
}

// removeCAs takes the CAs of ndock's registries out of the text.
func removeCAs(old []byte) []byte {
	content := slices.Clone(old)
	for block, rest := pem.Decode(old); block != nil; block, rest = pem.Decode(rest) {
		if one, err := x509.ParseCertificate(block.Bytes); err == nil && one.Subject.CommonName == pki.AuthorityName {
			content = bytes.ReplaceAll(content, pem.EncodeToMemory(block), nil)
		}
	}
	return content
}
