// Package durable writes the files by which what runs on a host is known again after a power cut.
package durable

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// WriteFile writes a file that only root reads, and makes its directory. After a power cut either the old or the new content is there,
// and once it has returned the new one.
func WriteFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
