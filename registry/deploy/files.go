package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"ndock/registry"
	"ndock/registry/pki"
)

// The files of the config volume.
const (
	fileCert     = "server.crt"
	fileKey      = "server.key"
	fileNext     = "server-next.pem" // the certificates that take its place in time, each before its key
	fileCA       = "ca.crt"
	fileCAKey    = "ca.key"
	fileHtpasswd = "htpasswd"

	fileConfig     = "config.yml" // of distribution's format
	fileKeystoneCA = "keystone-ca.crt"
	fileSystemCAs  = "system-ca.crt" // that this host trusts
)

// What is read back from the config volume is bounded: we wrote it, but it stands on the engine.
const (
	maxFileSize = 1 << 20
	maxFiles    = 32
)

// files are the content of the config volume, or of the service's directory, by name.
type files map[string][]byte

func (f files) pair(cert, key string) pki.Pair { return pki.Pair{Cert: f[cert], Key: f[key]} }

// series returns the registry's own certificates.
func (f files) series() pki.Series {
	var all pki.Series
	if first := f.pair(fileCert, fileKey); len(first.Cert) > 0 {
		all = pki.Series{first}
	}
	return append(all, pki.ParseSeries(f[fileNext])...)
}

func (f files) put(cert, key string, p pki.Pair) { f[cert], f[key] = p.Cert, p.Key }

// contains returns whether all of the others are here, with the same content.
func (f files) contains(others files) bool {
	for name, content := range others {
		if found, ok := f[name]; !ok || !bytes.Equal(found, content) {
			return false
		}
	}
	return true
}

// pack makes the archive that the engine unpacks into the volume. Only root can read the files.
func (f files) pack() (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	now := time.Now()
	for _, name := range f.names() {
		header := &tar.Header{
			Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(f[name])),
			ModTime: now, Format: tar.FormatPAX, // to less than a second: by it distribution knows that logins have changed
		}
		if hasAuthority(name) {
			header.Uid, header.Gid = unusedUser, unusedUser
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

// revertTo returns what turns others back into these. The engine can overwrite files, but not remove them, so an empty
// file stands for none.
func (f files) revertTo(others files) files {
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
		case len(found) > maxFiles:
			return nil, fmt.Errorf("there are more than %d files", maxFiles)
		case err == io.EOF:
			return found, nil
		case err != nil:
			return nil, err
		case header.Typeflag != tar.TypeReg || header.Size == 0:
			continue
		case header.Size > largestOf(header.Name):
			return nil, fmt.Errorf("file %q is larger than %d bytes", header.Name, largestOf(header.Name))
		}
		if found[path.Base(header.Name)], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

// hasAuthority returns whether the CA's key is in the file. No registry needs it.
func hasAuthority(name string) bool { return name == fileCAKey || name == fileRecord }

// unusedUser owns the files that the registry in the container must not read. It is root there, but without the
// capability to read another's files.
const unusedUser = 65534

func largestOf(name string) int64 {
	if path.Base(name) == fileRecord {
		return maxRecordSize
	}
	return maxFileSize
}

// fileRecord is an archive of the old files while a deployment is under way. If there is one, a deployment was killed.
const fileRecord = "before.tar.gz"

// maxRecordSize bounds what is read of it, in bytes.
const maxRecordSize = 8 << 20

// errInterrupted refuses to change logins after a deployment that was killed: the next one puts the old files back.
var errInterrupted = &registry.Error{Err: errors.New("a deployment of the registry was broken off"), Help: "deploy it again first, with the options that it shall have"}

// recorded returns a file that records these. It is compressed for the checksum.
func (f files) recorded() (files, error) {
	archive, err := f.pack()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, err = io.Copy(w, archive)
	err = errors.Join(err, w.Close())
	return files{fileRecord: text.Bytes()}, err
}

// recordedFiles returns the files that an interrupted deployment found. It returns none if there is no record, or if it
// is incomplete: a deployment touches nothing before it is complete.
func (f files) recordedFiles() (found files, ok bool) {
	r, err := gzip.NewReader(bytes.NewReader(f[fileRecord]))
	if err != nil {
		return nil, false
	}
	found, err = unpack(io.LimitReader(r, maxRecordSize))
	if err != nil {
		return nil, false
	}
	_, err = io.Copy(io.Discard, io.LimitReader(r, maxRecordSize)) // to the checksum
	return found, err == nil
}

// settled returns the files as they are when no deployment is under way.
func (f files) settled() files {
	if found, ok := f.recordedFiles(); ok {
		delete(found, unitName)
		return found
	}
	return f.withoutRecord()
}

// withoutRecord returns the files but for the record of those before.
func (f files) withoutRecord() files {
	all := maps.Clone(f)
	delete(all, fileRecord)
	return all
}
