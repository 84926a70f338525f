// Package similar finds what somebody may have meant who has mistyped a name.
package similar

import (
	"cmp"
	"slices"
	"strings"
)

// Limits of what is compared: names may be others', and as many and as long as they like.
const (
	mostNames = 10000
	mostRunes = 100
	mostShown = 3
)

// Names returns those of the known names that are nearly the word, the nearest first: with a few letters wrong, left out, added
// or exchanged, or with more behind it.
func Names(word string, known []string) []string {
	type match struct {
		name     string
		distance int
	}
	var matches []match
	wanted := []rune(strings.ToLower(word))
	if len(wanted) > mostRunes {
		return nil
	}
	for _, name := range known[:min(len(known), mostNames)] {
		have := []rune(strings.ToLower(name))
		far := distance(wanted, have[:min(len(have), mostRunes)])
		begins := len(wanted) > 2 && strings.HasPrefix(string(have), string(wanted))
		if name != "" && (begins || far <= (len(wanted)+1)/3) {
			matches = append(matches, match{name, far})
		}
	}
	slices.SortFunc(matches, func(a, b match) int { return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, match := range matches {
		names = append(names, match.name)
	}
	names = slices.Compact(names)
	return names[:min(len(names), mostShown)]
}

// Question asks whether one of the names is meant; it is empty when there is none.
func Question(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}

// distance is Damerau's and Levenshtein's, by which two exchanged letters are one mistake.
func distance(a, b []rune) int {
	before, last, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			next[j+1] = min(last[j]+wrong, last[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(b)]
}
