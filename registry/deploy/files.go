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

// files are the contents of the config volume, by name.
type files map[string][]byte

func (f files) pair(cert, key string) pki.Pair { return pki.Pair{Cert: f[cert], Key: f[key]} }

// series are the certificates that the registry has for itself.
func (f files) series() pki.Series {
	var all pki.Series
	if first := f.pair(fileCert, fileKey); len(first.Cert) > 0 {
		all = pki.Series{first}
	}
	return append(all, pki.ParseSeries(f[fileNext])...)
}

func (f files) put(cert, key string, p pki.Pair) { f[cert], f[key] = p.Cert, p.Key }

// contains tells whether all of the others are here, as they are.
func (f files) contains(others files) bool {
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

// revertTo is what turns others back into these: the engine can overwrite files, but not remove them, so
// that an empty one stands for one that is not there.
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

// hasAuthority tells whether the CA's key is in the file, which no registry needs.
func hasAuthority(name string) bool { return name == fileCAKey || name == fileRecord }

// unusedUser owns the files that the registry in the container must not read: it is root there, but without the capability
// to read what is another's.
const unusedUser = 65534

func largestOf(name string) int64 {
	if path.Base(name) == fileRecord {
		return maxRecordSize
	}
	return maxFileSize
}

// fileRecord is an archive of the files that were there, as long as a deployment is under way. Where one is found,
// ndock was killed while deploying.
const fileRecord = "before.tar.gz"

// maxRecordSize bounds what is read back of it.
const maxRecordSize = 8 << 20

// errInterrupted is why logins are not changed after a deployment that was killed: the next one takes the files back.
var errInterrupted = &registry.Error{Err: errors.New("a deployment of the registry was broken off"), Help: "deploy it again first, with the options that it shall have"}

// recorded returns the file that has these in it. It is compressed for the checksum.
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

// recordedFiles returns the files that a deployment which was broken off found. There are none where none was, or where it
// did not get to write all of them: it touches nothing else before it has.
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

// settled are the files as they are when no deployment is under way.
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
