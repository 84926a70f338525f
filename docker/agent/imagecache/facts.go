package imagecache

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/renameio/v2"

	"ndock/docker/archive"
)

// facts are what this host has found in layers whose bytes it has read: a file each, by the checksum of the bytes. They are
// true of these bytes wherever they are, so nothing makes them invalid.
type facts struct{ dir string }

// fact is what was found in one layer.
type fact struct {
	Checksum string            `json:"checksum"` // SHA-512 of the stored bytes, in hexadecimal
	Digest   string            `json:"digest"`   // sha256:… of them
	DiffID   string            `json:"diff_id"`  // sha256:… of the uncompressed layer
	Size     archive.LayerSize `json:"size"`
}

// factsLimit is the most facts that are kept. Each is a file of about 500 bytes.
const factsLimit = 4096

// checksumPattern matches a SHA-512 in hexadecimal, as Glance writes it.
var checksumPattern = regexp.MustCompile(`^[0-9a-f]{128}$`)

// file returns where a fact is kept. A name is shorter than a checksum, and the fact has the whole of it.
func (f facts) file(checksum string) string { return filepath.Join(f.dir, checksum[:64]) }

// find returns what is known of bytes with this checksum. What cannot be read is not known.
func (f facts) find(checksum string) (fact, bool) {
	if !checksumPattern.MatchString(checksum) {
		return fact{}, false
	}
	text, err := os.ReadFile(f.file(checksum))
	if err != nil {
		return fact{}, false
	}
	var found fact
	return found, json.Unmarshal(text, &found) == nil && found.Checksum == checksum
}

// all returns what is known. What cannot be read is not known.
func (f facts) all() []fact {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil
	}
	var all []fact
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(f.dir, entry.Name()))
		var one fact
		if err == nil && json.Unmarshal(text, &one) == nil && checksumPattern.MatchString(one.Checksum) {
			all = append(all, one)
		}
	}
	return all
}

// keep records a fact. Where there are too many it begins anew: a layer that is not known is sent once more.
func (f facts) keep(one fact) error {
	if all, err := os.ReadDir(f.dir); err == nil && len(all) >= factsLimit {
		if err := os.RemoveAll(f.dir); err != nil {
			return err
		}
	}
	text, err := json.Marshal(one)
	if err == nil {
		err = os.MkdirAll(f.dir, 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(f.file(one.Checksum), append(text, '\n'), 0o600, renameio.WithTempDir(f.dir))
	}
	if err != nil {
		return fmt.Errorf("record what is in layer %s: %w", one.Digest, err)
	}
	return nil
}
