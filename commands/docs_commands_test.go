package commands

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	commandShown = regexp.MustCompile(`(?m)^(?: {4}| {7})((?:ndock|openstack|docker) [^#<\n]*)`)
	commandRun   = regexp.MustCompile(`(?m)(?:^|[ ("'])((?:ndock|openstack|docker) .*)$`)
	ownWord      = regexp.MustCompile(`[^a-z-]`)
)

// runByScripts are the pages whose commands are those of scripts. e2e_docs_test.go runs those of the others.
var runByScripts = []string{"docs/day-2.md", "docs/from-nova-docker-or-zun.md", "docs/limits.md", "docs/networks.md", "docs/node.md", "docs/registry.md"}

// notRun are those about a host that has libvirt still, and about users that scripts call otherwise.
var notRun = []string{
	"openstack compute service set --disable --disable-reason 'becomes a Docker host' HOST nova-compute",
	"openstack server list --all-projects --host HOST",
	"openstack server migrate --live-migration SERVER",
	"docker login --username ann --password-stdin 127.0.0.1:5050",
	"docker login --username ann --password-stdin 192.0.2.10:5050",
}

// TestDocsCommandsAreRun: scripts run each command that these pages show, and each of its flags.
func TestDocsCommandsAreRun(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, line := range commandRun.FindAllStringSubmatch(scripts(t), -1) {
		lines = append(lines, line[1])
	}
	checked := 0
	all := pages(t)
	for _, page := range runByScripts {
		for _, match := range commandShown.FindAllStringSubmatch(all[page], -1) {
			command := strings.TrimSpace(match[1])
			checked++
			if slices.Contains(notRun, command) {
				continue
			}
			verbs, others := fixedWords(t, command)
			for _, word := range append(others, verbs[0]) {
				if !slices.ContainsFunc(lines, func(line string) bool { return hasWords(line, append(slices.Clone(verbs), word)) }) {
					t.Errorf("%s shows %q, and no script has %q with %s", page, command, verbs, word)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands were found", checked)
	}
}

// scripts returns the text of all testscripts.
func scripts(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("../testdata/*/*.txtar")
	if err != nil || len(paths) < 50 {
		t.Fatalf("%d scripts were found (%v)", len(paths), err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// fixedWords returns those of a command that are not the reader's own: the verbs, and then the names of flags and what else has
// only small letters. Of ndock's arguments each is the reader's own.
func fixedWords(t *testing.T, command string) (verbs, others []string) {
	t.Helper()
	words := strings.Fields(command)
	for i, word := range words {
		name, _, _ := strings.Cut(word, "=")
		switch isFlag := strings.HasPrefix(word, "-"); {
		case isFlag || words[0] != "ndock" && len(others) > 0 && !ownWord.MatchString(word):
			others = append(others, name)
		case words[0] != "ndock" && i < 4 && !ownWord.MatchString(word):
			verbs = append(verbs, word)
		}
	}
	if words[0] != "ndock" {
		return verbs, others
	}
	ran, err := understood(command)
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	return strings.Fields(ran), others
}

// hasWords tells whether a line has all the words.
func hasWords(line string, words []string) bool {
	had := strings.Fields(strings.NewReplacer("=", " ", "'", " ", `"`, " ", ")", " ").Replace(line))
	return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(had, word) })
}

// TestFixedWords: a flag that no script gives, and a command that none runs, are found.
func TestFixedWords(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"ndock show web -f value -c Networks": "ndock show, -f -c",
		"ndock node setup --dry-run":          "ndock node setup, --dry-run",
		"openstack --os-compute-api-version 2.56 server migrate --host OTHER --wait SERVER": "openstack, --os-compute-api-version server migrate --host --wait",
		"openstack flavor create --ram=512 m1.half":                                         "openstack flavor create, --ram",
		"docker commit nova-UUID web:moved":                                                 "docker commit, ",
	} {
		verbs, others := fixedWords(t, command)
		if got := strings.Join(verbs, " ") + ", " + strings.Join(others, " "); got != want {
			t.Errorf("%q has %q, want %q", command, got, want)
		}
	}
	for words, want := range map[string]bool{"ndock list": true, "ndock list -c": true, "ndock list --nope": false, "ndock show": false} {
		if got := hasWords("ndock list -f=value '-c' Name", strings.Fields(words)); got != want {
			t.Errorf("%q is there: %t", words, got)
		}
	}
}
