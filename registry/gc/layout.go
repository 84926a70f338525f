package gc

import (
	"path"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Where distribution keeps things, in any storage.
const (
	root             = "/docker/registry/v2"
	RootBlobs        = root + "/blobs"
	RootRepositories = root + "/repositories"
)

// RootUnlinked is where ndock records which blobs count for a namespace that has no link to them any more.
const RootUnlinked = root + "/ndock/unlinked"

type kind int

const (
	other    kind = iota // which is left alone
	blob                 // the bytes of a layer, a config or a manifest
	layer                // a link to a blob: the repository has it
	manifest             // a link to a blob: the repository has it, as a manifest
	tag                  // a link to the manifest that has the tag now
	history              // a link to a manifest that has, or had, the tag
	upload               // a file of an upload that has not ended
	tempFile             // half a file, from a write that was broken off
	unlinked             // a blob that counts for a namespace without a link to it
	bare                 // a directory with no file in it or below
	emptied              // the place for manifests of a repository that has none, and nothing else
)

// location is what a path tells of a file.
type location struct {
	kind       kind
	repository string
	digest     string
	dir        string // that goes when the thing goes
}

var broken = regexp.MustCompile(`^(link|data)\.[0-9a-f-]{36}\.tmp$`) // how distribution's file system driver names them

// locate reads a path. An unknown one has the kind other.
func locate(file string) location {
	within, ok := strings.CutPrefix(file, root+"/")
	if !ok || path.Clean(file) != file {
		return location{}
	}
	parts := strings.Split(within, "/")
	if broken.MatchString(path.Base(file)) && !strings.Contains(file, "/_uploads/") {
		return location{kind: tempFile, dir: file}
	}
	if parts[0] == "blobs" {
		return locateBlob(file, parts[1:])
	}
	if parts[0] == "ndock" && len(parts) == 5 && parts[1] == "unlinked" {
		at := linked(unlinked, parts[2], file, parts[3], parts[4])
		at.dir = file
		return at
	}
	for i := 2; i < len(parts) && parts[0] == "repositories"; i++ {
		if strings.HasPrefix(parts[i], "_") { // no part of a name begins so
			return locateIn(path.Join(parts[1:i]...), file, parts[i:])
		}
	}
	return location{}
}

// LinkOf returns the repository and the blob of a link to a layer or a manifest; is tells whether the path is one.
func LinkOf(file string) (repository string, blob digest.Digest, is bool) {
	at := locate(file)
	if at.kind != layer && at.kind != manifest {
		return "", "", false
	}
	return at.repository, digest.Digest(at.digest), true
}

// IsLink returns whether the file at that path holds the digest of a blob, and nothing else.
func IsLink(file string) bool {
	kind := locate(file).kind
	return kind == layer || kind == manifest || kind == tag || kind == history
}

// TagOf returns the repository of a link from a tag to the manifest that has it, or had it; is tells whether the path is one.
func TagOf(file string) (repository string, is bool) {
	at := locate(file)
	return at.repository, at.kind == tag || at.kind == history
}

// IsTag returns whether the file at that path names the manifest that has a tag now.
func IsTag(file string) bool { return locate(file).kind == tag }

// UploadOf returns the upload that a file or a directory belongs to; is tells whether there is one.
func UploadOf(path string) (repository, id string, is bool) {
	at := locate(path)
	if at.kind == other {
		at = locate(path + "/startedat")
	}
	if at.kind != upload {
		return "", "", false
	}
	return at.repository, at.dir[strings.LastIndex(at.dir, "/")+1:], true
}

// UnlinkedFile returns the path of the record that a blob counts for a namespace without a link to it.
func UnlinkedFile(namespace string, blob digest.Digest) string {
	return path.Join(RootUnlinked, namespace, blob.Algorithm().String(), blob.Encoded())
}

// UnlinkedOf is the inverse of UnlinkedFile.
func UnlinkedOf(file string) (namespace string, blob digest.Digest, is bool) {
	at := locate(file)
	return at.repository, digest.Digest(at.digest), at.kind == unlinked
}

// locateBlob reads ALGORITHM/XX/HEX/data.
func locateBlob(file string, parts []string) location {
	if len(parts) != 4 || parts[3] != "data" || !strings.HasPrefix(parts[2], parts[1]) || len(parts[1]) != 2 {
		return location{}
	}
	return linked(blob, "", file, parts[0], parts[2])
}

// locateIn reads a path in a repository.
func locateIn(repository, file string, parts []string) location {
	switch last := len(parts) - 1; {
	case parts[0] == "_layers" && last == 3 && parts[3] == "link":
		return linked(layer, repository, file, parts[1], parts[2])
	case parts[0] == "_uploads" && last >= 2:
		return location{kind: upload, repository: repository, dir: path.Join(RootRepositories, repository, "_uploads", parts[1])}
	case parts[0] != "_manifests" || parts[last] != "link":
		return location{}
	case last == 4 && parts[1] == "revisions":
		return linked(manifest, repository, file, parts[2], parts[3])
	case last == 4 && parts[1] == "tags" && parts[3] == "current":
		return location{kind: tag, repository: repository, dir: path.Dir(path.Dir(file))}
	case last == 6 && parts[1] == "tags" && parts[3] == "index":
		return linked(history, repository, file, parts[4], parts[5])
	}
	return location{}
}

func linked(k kind, repository, file, algorithm, hex string) location {
	found := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	if found.Validate() != nil {
		return location{}
	}
	return location{kind: k, repository: repository, digest: string(found), dir: path.Dir(file)}
}
