package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ndock/openstack/node/system"
)

// A Claim is a path that setup made where nothing was before. A file itself does not show who made it.
type Claim struct {
	Sum    string `json:"sum"` // of the file's content, SHA-256; or directory
	Path   string `json:"path"`
	Former string `json:"former,omitempty"` // the sum of what an earlier setup made of it, which is there until it is written
}

// IsFile tells whether the claim is of a file, and not of a directory.
func (c Claim) IsFile() bool { return c.Sum != directory }

// directory stands for the sum of a directory.
const directory = "directory"

// Sum returns what is recorded of a file's content.
func Sum(content []byte) string { return sum(content) }

func sum(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// Claim records what writing these files will make, as part of the changes: the files that are not there yet, and their
// directories. Recorded before they are written, they are found by teardown whatever breaks in between.
func (s Store) Claim(c *system.Changes, files []system.File) error {
	r, err := s.Read()
	if err != nil {
		return err
	}
	before := r.Completions
	all := slices.Clone(before)
	for _, f := range files {
		all = s.withClaim(all, f)
	}
	if slices.Equal(all, before) {
		return nil
	}
	return s.AmendIn(c, func(r *Record) { r.Completions = all }, func(r *Record) { r.Completions = before })
}

func (s Store) withClaim(all []Claim, f system.File) []Claim {
	if at := slices.IndexFunc(all, func(c Claim) bool { return c.Path == f.Path }); at >= 0 {
		all[at] = s.renewed(all[at], sum(f.Content))
		return all
	}
	if s.exists(f.Path) {
		return all // someone else made it
	}
	return append(s.withDirectory(all, filepath.Dir(f.Path)), Claim{Sum: sum(f.Content), Path: f.Path})
}

// renewed is the claim of a file that is about to be written with another content.
func (s Store) renewed(c Claim, sumOf string) Claim {
	if c.Sum == sumOf {
		return c
	}
	if now, err := system.ReadFile(s.path(c.Path)); err != nil || sum(now) != c.Former {
		c.Former = c.Sum
	}
	c.Sum = sumOf
	return c
}

// withDirectory adds a directory that is not there yet, after its parents.
func (s Store) withDirectory(all []Claim, path string) []Claim {
	if s.exists(path) || slices.Contains(all, Claim{Sum: directory, Path: path}) {
		return all
	}
	return append(s.withDirectory(all, filepath.Dir(path)), Claim{Sum: directory, Path: path})
}

func (s Store) exists(path string) bool {
	_, err := os.Stat(s.path(path))
	return !errors.Is(err, fs.ErrNotExist)
}

// RemoveClaimed removes what setup made and nobody has changed since, and then the claims. It returns a sentence on each
// file.
func (s Store) RemoveClaimed() ([]string, error) {
	r, err := s.Read()
	if err != nil || len(r.Completions) == 0 {
		return nil, err
	}
	var texts []string
	for _, c := range slices.Backward(r.Completions) {
		text, err := s.removeClaimed(c)
		if err != nil {
			return texts, err
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	return texts, s.Amend(func(r *Record) { r.Completions = nil })
}

// removeClaimed removes a path that is as setup left it, and returns a sentence on a file.
func (s Store) removeClaimed(c Claim) (string, error) {
	path := s.path(c.Path)
	if !c.IsFile() {
		system.RemoveEmpty(path) // stays when it holds more
		return "", nil
	}
	content, err := system.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", system.FileError("read", path, err)
	case sum(content) != c.Sum && sum(content) != c.Former:
		return "left " + path + ", which was edited", nil
	}
	var gone system.Changes
	return "removed " + path, gone.Remove(path)
}
