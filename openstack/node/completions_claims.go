package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// claimed is a path that was not there before setup: of what was there, or is of another release, one cannot see whose it is.
type claimed struct {
	Sum  string `json:"sum"` // SHA-256, or directory
	Path string `json:"path"`
}

// directory stands for the sum of one.
const directory = "directory"

func sum(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// claims are those that are written down, by this release or by an earlier one, whose lines were those of sha256sum.
func (s *completions) claims() ([]claimed, error) {
	r, err := s.Layout.readRecord()
	if err != nil {
		return nil, err
	}
	content, err := readFile(s.Layout.Path(formerCompletions))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fileError("read", s.Layout.Path(formerCompletions), err)
	}
	var all []claimed
	for line := range strings.Lines(string(content)) {
		sum, path, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if ok && !slices.ContainsFunc(r.Completions, func(c claimed) bool { return c.Path == path }) {
			all = append(all, claimed{sum, path})
		}
	}
	return append(all, r.Completions...), nil
}

// claim adds what writing these files makes.
func (s *completions) claim(files []File) error {
	before, err := s.claims()
	if err != nil {
		return err
	}
	all := slices.Clone(before)
	for _, f := range files {
		all = s.with(all, f)
	}
	if slices.Equal(all, before) {
		return nil
	}
	return s.did.record(s.Layout, func(r *record) { r.Completions = all }, func(r *record) { r.Completions = before })
}

func (s *completions) with(all []claimed, f File) []claimed {
	if at := slices.IndexFunc(all, func(c claimed) bool { return c.Path == f.Path }); at >= 0 {
		all[at].Sum = sum(f.Content)
		return all
	}
	if s.there(f.Path) {
		return all // another's, though its content is not
	}
	return append(s.withDirectory(all, filepath.Dir(f.Path)), claimed{sum(f.Content), f.Path})
}

// withDirectory adds a directory that is not there yet, after those that it is in.
func (s *completions) withDirectory(all []claimed, path string) []claimed {
	if s.there(path) || slices.Contains(all, claimed{directory, path}) {
		return all
	}
	return append(s.withDirectory(all, filepath.Dir(path)), claimed{directory, path})
}

func (s *completions) there(path string) bool {
	_, err := os.Stat(s.Layout.Path(path))
	return !errors.Is(err, fs.ErrNotExist)
}

// Teardown removes what is claimed and nobody has changed since, and then the claims.
func (s *completions) Teardown(context.Context) ([]string, error) {
	all, err := s.claims()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	var texts []string
	for _, c := range slices.Backward(all) {
		text, err := s.drop(c)
		if err != nil {
			return texts, err
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	var gone changes
	if err := gone.remove(s.Layout.Path(formerCompletions)); err != nil {
		return texts, err
	}
	return texts, s.Layout.amend(func(r *record) { r.Completions = nil })
}

// drop removes one that is as setup left it, and says what became of it.
func (s *completions) drop(c claimed) (string, error) {
	path := s.Layout.Path(c.Path)
	if c.Sum == directory {
		removeEmpty(path) // stays when it holds more
		return "", nil
	}
	content, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fileError("read", path, err)
	case sum(content) != c.Sum:
		return "left " + path + ", which was edited", nil
	}
	var gone changes
	return "removed " + path, gone.remove(path)
}
