package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ndock/openstack/node/system"
)

// Earlier releases recorded each of these in a file of its own. Such a file is read until what it records is undone.
const (
	earlierProgram     = "/var/lib/ndock/setup"
	earlierEngine      = "/var/lib/ndock/engine"
	earlierCompletions = "/var/lib/ndock/completions"
)

// withEarlier adds to the record what earlier releases recorded.
func (s Store) withEarlier(r Record) (Record, error) {
	if program, there, err := s.readEarlier(earlierProgram); err != nil {
		return r, err
	} else if there {
		r.Program = cmp.Or(r.Program, strings.TrimSpace(program))
	}
	if engine, there, err := s.readEarlier(earlierEngine); err != nil {
		return r, err
	} else if there {
		r.Engine = cmp.Or(r.Engine, strings.TrimSpace(engine), "unknown")
	}
	sums, _, err := s.readEarlier(earlierCompletions)
	r.Completions = append(earlierClaims(sums, r.Completions), r.Completions...)
	return r, err
}

// earlierClaims returns the claims of a text, whose lines are those of sha256sum, but for paths that are claimed since.
func earlierClaims(sums string, since []Claim) []Claim {
	var all []Claim
	for line := range strings.Lines(sums) {
		sum, path, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if ok && !slices.ContainsFunc(since, func(c Claim) bool { return c.Path == path }) {
			all = append(all, Claim{Sum: sum, Path: path})
		}
	}
	return all
}

// saysNoMoreThan tells whether the record has nothing that is not in the files of earlier releases.
func (r Record) saysNoMoreThan(earlier Record) bool {
	same := r.Program == earlier.Program && r.Engine == earlier.Engine && slices.Equal(r.Completions, earlier.Completions)
	return same && r.Runtime == "" && r.Config == "" && !r.Definitions && r.Meanwhile == nil && len(r.Files)+len(r.Sysctls) == 0
}

func (s Store) readEarlier(path string) (text string, there bool, err error) {
	content, err := system.ReadFile(s.path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, system.FileError("read", s.path(path), err)
	}
	return string(content), true, nil
}

// removeEarlier removes the files of what the record does not have any more.
func (s Store) removeEarlier(r Record) error {
	var gone system.Changes
	for path, undone := range map[string]bool{earlierProgram: r.Program == "", earlierEngine: r.Engine == "", earlierCompletions: len(r.Completions) == 0} {
		if !undone {
			continue
		}
		if err := gone.Remove(s.path(path)); err != nil {
			return err
		}
	}
	return nil
}

// earlierCopy is the ending of such a copy's name.
const earlierCopy = ".ndock-saved"

// distrust returns why the copy of an earlier release does not count; nil where it does, or there is none.
func (s Store) distrust(path string) error {
	saved, err := system.Inspect(s.path(path) + earlierCopy)
	if err != nil || saved.Missing {
		return err
	}
	now, err := system.Inspect(s.path(path))
	if err != nil || saved.UID == os.Geteuid() || !now.Missing && now.UID == saved.UID {
		return err
	}
	return fmt.Errorf("%s is not root's", s.path(path)+earlierCopy)
}

// Untrusted returns a sentence where the copy of an earlier release does not count, and so stays there.
func (s Store) Untrusted(path string) []string {
	if why := s.distrust(path); why != nil {
		return []string{fmt.Sprintf("left %s, and did not go by it: %v", s.path(path)+earlierCopy, why)}
	}
	return nil
}
