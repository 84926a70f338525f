package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// claimsFile names the files and directories that the step completions made: of what was there before, or of another
// release, one cannot see whose it is. Its lines are those of sha256sum.
const claimsFile = "/var/lib/ndock/completions"

// claimed is a path that was not there before setup.
type claimed struct{ sum, path string }

// directory stands for the sum of one.
const directory = "directory"

func sum(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

func (s *completions) claims() ([]claimed, error) {
	content, err := readFile(s.Layout.Path(claimsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError("read", s.Layout.Path(claimsFile), err)
	}
	var all []claimed
	for line := range strings.Lines(string(content)) {
		if sum, path, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			all = append(all, claimed{sum, path})
		}
	}
	return all, nil
}

// claim adds what writing these files makes.
func (s *completions) claim(files []File) error {
	all, err := s.claims()
	if err != nil {
		return err
	}
	for _, f := range files {
		all = s.with(all, f)
	}
	if len(all) == 0 {
		return nil
	}
	var text strings.Builder
	for _, c := range all {
		fmt.Fprintf(&text, "%s  %s\n", c.sum, c.path)
	}
	return s.did.write(s.Layout.Path(claimsFile), []byte(text.String()), 0o644)
}

func (s *completions) with(all []claimed, f File) []claimed {
	if at := slices.IndexFunc(all, func(c claimed) bool { return c.path == f.Path }); at >= 0 {
		all[at].sum = sum(f.Content)
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

// withdraw removes what is claimed, and then the claims.
func (s *completions) withdraw() ([]string, error) {
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
	return texts, gone.remove(s.Layout.Path(claimsFile))
}

// drop removes one that is as setup left it, and says what became of it.
func (s *completions) drop(c claimed) (string, error) {
	path := s.Layout.Path(c.path)
	if c.sum == directory {
		removeEmpty(path) // stays when it holds more
		return "", nil
	}
	content, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fileError("read", path, err)
	case sum(content) != c.sum:
		return "left " + path + ", which was edited", nil
	}
	var gone changes
	return "removed " + path, gone.remove(path)
}
