package oslo

import (
	"context"
	_ "embed" // for the question
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Setting is the value of an option that Nova takes.
type Setting struct {
	Value      string   `json:"value"`        // empty where nothing sets it
	File       string   `json:"file"`         // that sets it; empty where none does
	Files      []string `json:"files"`        // that Nova reads, each before those that override it
	DropInsWin bool     `json:"drop_ins_win"` // a file in a directory that Nova looks into by itself beats its other files
}

//go:embed ask.py
var question string

// Ask has Nova's own Python say what an option of a section is set to, for a nova-compute that is started with a command
// line. The Python is a command, which may run as another user; run runs it. What it answers may be that user's own word: only
// its form is checked.
func Ask(ctx context.Context, python []string, section, option string, commandLine []string, run func(context.Context, ...string) (string, error)) (Setting, error) {
	// The operator's own PYTHONPATH and packages (-E, -s) are not those of the service.
	command := append(append([]string{}, python...), "-E", "-s", "-c", question, section, option)
	out, err := run(ctx, append(command, ConfigWords(commandLine)...)...)
	if err != nil {
		return Setting{}, fmt.Errorf("ask Nova's oslo.config for %s: %w", option, &briefError{err})
	}
	setting, err := parseSetting(out)
	if err != nil {
		return Setting{}, fmt.Errorf("ask Nova's oslo.config for %s: its answer cannot be read: %w", option, err)
	}
	return setting, nil
}

// ConfigWords returns what a command line says of files to read, each as one word: --config-file=PATH or --config-dir=PATH.
func ConfigWords(commandLine []string) []string {
	var words []string
	for i, word := range commandLine {
		name, path, joined := strings.Cut(word, "=")
		if name != "--config-file" && name != "--config-dir" {
			continue
		}
		if !joined && i+1 < len(commandLine) {
			path = commandLine[i+1]
		}
		if path != "" {
			words = append(words, name+"="+path)
		}
	}
	return words
}

// parseSetting reads an answer, and refuses all that the question does not print.
func parseSetting(out string) (Setting, error) {
	const most = 64 << 10
	if len(out) > most || !utf8.ValidString(out) {
		return Setting{}, errors.New("it is too long, or no text")
	}
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	var s Setting
	if err := decoder.Decode(&s); err != nil {
		return Setting{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Setting{}, errors.New("it says more than one thing")
	}
	if slices.ContainsFunc(s.Files, unlikely) || s.File != "" && !slices.Contains(s.Files, s.File) {
		return Setting{}, errors.New("it names a file that can be none")
	}
	return s, nil
}

// unlikely tells whether a path is none that oslo.config would name.
func unlikely(path string) bool {
	return !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) })
}

// briefError is an error that quotes the question, which it leaves out.
type briefError struct{ error }

func (e *briefError) Error() string {
	return strings.ReplaceAll(e.error.Error(), strings.Trim(strconv.Quote(question), `"`), "…")
}

func (e *briefError) Unwrap() error { return e.error }
