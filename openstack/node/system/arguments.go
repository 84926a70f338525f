package system

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// Arguments returns those in the unit and its drop-ins, with the values of variables that they name. Other variables, where
// passwords of proxies may be, are not read.
func (m *systemd) Arguments(ctx context.Context, s Service) ([]string, error) {
	started, err := m.property(ctx, s, "ExecStart")
	if err != nil {
		return nil, err
	}
	if !strings.Contains(started, "$") {
		return argumentsIn(started, nil), nil
	}
	environment, err := m.property(ctx, s, "Environment")
	if err != nil {
		return nil, err
	}
	texts, err := m.environmentFiles(ctx, s)
	if err != nil {
		return nil, err
	}
	return argumentsIn(started, func(name string) string {
		value := inEnvironment(environment, name)
		for _, text := range texts {
			value = inFile(text, name, value)
		}
		return value
	}), nil
}

// environmentFiles returns the texts of those that the unit names, each before those that override it.
func (m *systemd) environmentFiles(ctx context.Context, s Service) ([]string, error) {
	named, err := m.property(ctx, s, "EnvironmentFiles")
	if err != nil {
		return nil, err
	}
	var texts []string
	for line := range strings.Lines(named) {
		pattern, _, _ := strings.Cut(strings.TrimSpace(line), " (ignore_errors=")
		paths, err := filepath.Glob(filepath.Join(m.root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			text, err := textOf(path)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
	}
	return texts, nil
}

// Arguments returns those in the file that Debian's init scripts read them from: for docker, DOCKER_OPTS in
// /etc/default/docker.
func (m *sysvinit) Arguments(_ context.Context, s Service) ([]string, error) {
	text, err := textOf(filepath.Join(m.root, "/etc/default", s.Name))
	return split(inFile(text, strings.ToUpper(s.Name)+"_OPTS", "")), err
}

// textOf returns the text of a file, an empty one where there is none.
func textOf(path string) (string, error) {
	text, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", FileError("read", path, err)
	}
	return string(text), nil
}

// argv matches a command line in what `systemctl show` prints. A unit can have several.
var argv = regexp.MustCompile(`argv\[\]=(.*?) ; (?:ignore_errors|flags)=`)

// variable matches how a unit names one.
var variable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?`)

func argumentsIn(started string, value func(name string) string) []string {
	var all []string
	for _, line := range argv.FindAllStringSubmatch(started, -1) {
		all = append(all, split(variable.ReplaceAllStringFunc(line[1], func(named string) string {
			return value(variable.FindStringSubmatch(named)[1])
		}))...)
	}
	return all
}

// inEnvironment finds a variable in what `systemctl show` prints of a unit's environment: words, in double quotes where they
// have blanks.
func inEnvironment(environment, name string) string {
	found := regexp.MustCompile(`(?:^|\s)(?:"` + name + `=((?:[^"\\]|\\.)*)"|` + name + `=(\S*))`).FindStringSubmatch(environment)
	if found == nil {
		return ""
	}
	return found[1] + found[2]
}

// inFile returns what a file of a shell's or of systemd's sets a variable to, which has a value before. The last line
// counts.
func inFile(text, name, before string) string {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			before = strings.NewReplacer("${"+name+"}", before, "$"+name, before).Replace(withoutComment(value))
		}
	}
	return before
}

// withoutComment cuts a comment behind a value.
func withoutComment(value string) string {
	for _, quote := range []string{`"`, "'"} {
		if inside, ok := strings.CutPrefix(value, quote); ok {
			inside, _, _ = strings.Cut(inside, quote)
			return inside
		}
	}
	value, _, _ = strings.Cut(value, " #")
	return value
}

// split returns the words of a command line. Text in quotes may become several, which does not matter for flags.
func split(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\n\"'", r) })
}
