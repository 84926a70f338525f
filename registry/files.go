package registry

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"
)

// The files of the config volume.
const (
	fileCert     = "server.crt"
	fileKey      = "server.key"
	fileCA       = "ca.crt"
	fileCAKey    = "ca.key"
	fileHtpasswd = "htpasswd"

	fileConfig     = "config.yml" // of distribution's format
	fileKeystoneCA = "keystone-ca.crt"
	fileSystemCAs  = "system-ca.crt" // that this host trusts
)

// largestFile bounds what is read back from the config volume: we wrote it, but it stands on the engine.
const largestFile = 1 << 20

// files are the contents of the config volume, by name.
type files map[string][]byte

func (f files) pair(cert, key string) pair { return pair{cert: f[cert], key: f[key]} }

func (f files) put(cert, key string, p pair) { f[cert], f[key] = p.cert, p.key }

// hold tells whether all of the others are here, as they are.
func (f files) hold(others files) bool {
	for name, content := range others {
		if found, ok := f[name]; !ok || !bytes.Equal(found, content) {
			return false
		}
	}
	return true
}

// pack makes the archive that the engine unpacks into the volume. Only root may read what is in it.
func (f files) pack() (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	now := time.Now()
	for _, name := range f.names() {
		header := &tar.Header{
			Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(f[name])),
			ModTime: now, Format: tar.FormatPAX, // to less than a second: by it distribution knows that logins have changed
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f[name]); err != nil {
			return nil, err
		}
	}
	return &archive, w.Close()
}

func (f files) names() []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// insteadOf is what turns others back into these: the engine can overwrite files, but not remove them, so
// that an empty one stands for one that is not there.
func (f files) insteadOf(others files) files {
	all := files{}
	for name := range others {
		all[name] = nil
	}
	maps.Copy(all, f)
	return all
}

// unpack reads the engine's archive of the volume.
func unpack(archive io.Reader) (files, error) {
	found := files{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		case header.Typeflag != tar.TypeReg || header.Size == 0:
			continue
		case header.Size > largestFile:
			return nil, fmt.Errorf("file %q is larger than %d bytes", header.Name, largestFile)
		}
		if found[path.Base(header.Name)], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}
