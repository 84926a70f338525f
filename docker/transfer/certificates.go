package transfer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is the size of the largest file that is read, in bytes.
const maxFile = 4 << 20

// ReadFile reads a file of at most 4 MiB. What is no file could keep it waiting, as a named pipe does.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a regular file")}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return content, err
}

// ReadCertificates reads a file of certificates, or all files of a directory that are such.
func ReadCertificates(path string) (*x509.CertPool, error) {
	files := []string{path}
	if entries, err := os.ReadDir(path); err == nil {
		files = nil
		for _, entry := range entries {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	pool, found := x509.NewCertPool(), false
	for _, file := range files {
		pem, err := ReadFile(file)
		if err != nil && file == path {
			return nil, err
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}
