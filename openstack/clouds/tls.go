package clouds

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ndock/docker/transfer"
)

// tlsConfig reads verify, insecure, cacert, cert and key.
func tlsConfig(s settings) (*tls.Config, error) {
	config := &tls.Config{}
	verify, cacert := s.text("verify"), s.text("cacert")
	switch {
	case isTrue(s.text("insecure")), isFalse(verify):
		config.InsecureSkipVerify = true
	case cacert == "" && verify != "" && !isTrue(verify):
		cacert = verify // openstacksdk takes a path there too
	}
	if cacert != "" && !config.InsecureSkipVerify {
		pool, err := ReadCertificates(cacert)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	return config, addClientCertificate(config, s.text("cert"), s.text("key"))
}

func isTrue(text string) bool {
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		return true
	}
	return false
}

func isFalse(text string) bool {
	switch strings.ToLower(text) {
	case "false", "no", "off":
		return true
	}
	return false
}

// ReadCertificates reads a file of certificates, or all files of a directory that are such. It returns an *Error.
func ReadCertificates(path string) (*x509.CertPool, error) {
	pool, err := transfer.ReadCertificates(expandHome(path))
	if err != nil {
		return nil, &Error{Op: "read cacert", Err: err}
	}
	return pool, nil
}

// addClientCertificate adds what the client shows of itself; cert and key may be in one file.
func addClientCertificate(config *tls.Config, cert, key string) error {
	switch {
	case cert == "" && key == "":
		return nil
	case cert == "":
		return errors.New("it has a key and no cert")
	case key == "":
		key = cert
	}
	pair, err := tls.LoadX509KeyPair(expandHome(cert), expandHome(key))
	if err != nil {
		return fmt.Errorf("read the client's certificate: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return nil
}

func expandHome(path string) string {
	rest, under := strings.CutPrefix(path, "~/")
	home, err := os.UserHomeDir()
	if !under || err != nil {
		return path
	}
	return filepath.Join(home, rest)
}
