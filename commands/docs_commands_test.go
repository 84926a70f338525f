package commands

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// commandsShown matches a page's indented line that begins with a command, or with what takes its output.
	commandsShown = regexp.MustCompile(`(?m)^ {4,7}(?:id=\$\(|source <\()?((?:ndock|openstack|docker) [^#<\n]*)`)
	commandRun    = regexp.MustCompile(`(?m)(?:^|[ ("'])((?:ndock|openstack|docker) .*)$`)
	// notSucceeding matches a script's line that is a comment, or that wants a failure; conditions may come before.
	notSucceeding = regexp.MustCompile(`(?m)^(?:\[[^\]\n]*\] +)*(?:#|! |status [1-9]).*$`)
	ownWord       = regexp.MustCompile(`[^a-z-]`)
)

// notRun are commands that no script runs, and why.
var notRun = map[string]string{
	"openstack compute service set --disable --disable-reason 'becomes a Docker host' HOST nova-compute": "it is about a host that has libvirt still",
	"openstack server list --all-projects --host HOST":                                                   "so is this",
	"openstack server migrate --live-migration SERVER":                                                   "and this",
	"docker login --username ann --password-stdin 127.0.0.1:5050":                                        "scripts call the user otherwise",
	"docker login --username ann --password-stdin 192.0.2.10:5050":                                       "here, too",
	"docker image prune --all --force":                                                                   "testdata/ansible/run takes it from the page",
}

// TestDocsCommandsAreRun: scripts run, with success, each command that the pages show, and each of its flags.
func TestDocsCommandsAreRun(t *testing.T) {
	t.Parallel()
	lines := commandsIn(scripts(t))
	checked, unused := 0, maps.Clone(notRun)
	for page, text := range pages(t) {
		for _, command := range commandsOn(text) {
			checked++
			if _, ok := notRun[command]; ok {
				delete(unused, command)
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
	if checked < 100 {
		t.Errorf("only %d commands were found", checked)
	}
	for command := range unused {
		t.Errorf("no page shows %q", command)
	}
}

// commandsOn returns the commands that a page shows, those of a pipeline one by one, but not the words of a drawing.
func commandsOn(page string) []string {
	var all []string
	for _, match := range commandsShown.FindAllStringSubmatch(page, -1) {
		if strings.Contains(match[1], "─") {
			continue
		}
		for _, command := range strings.Split(match[1], " | ") {
			all = append(all, strings.TrimRight(command, " )"))
		}
	}
	return all
}

// commandsIn returns the lines of scripts that run a command which succeeds. NDOCK has "ndock registry" on another host.
func commandsIn(scripts string) []string {
	scripts = notSucceeding.ReplaceAllString(scripts, "")
	scripts = strings.ReplaceAll(scripts, "$NDOCK ", "ndock registry ")
	var lines []string
	for _, line := range commandRun.FindAllStringSubmatch(scripts, -1) {
		lines = append(lines, line[1])
	}
	return lines
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
	return strings.Fields(cmp.Or(ran, "ndock")), others
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
		"ndock --version":                     "ndock, --version",
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

// TestCommandsIn: what a script expects to fail, and what it only speaks of, it does not run.
func TestCommandsIn(t *testing.T) {
	t.Parallel()
	script := "# exec ndock list\n! exec ndock show web\nstatus 1 ndock stop web\n[xfs] ! exec docker ps\n[quota] # docker rm\n" +
		"exec ndock boot web\nstatus 0 ndock start web\n[xfs] exec docker pull web\nexec sh -c '$NDOCK status -c URL'\n"
	want := []string{"ndock boot web", "ndock start web", "docker pull web", "ndock registry status -c URL'"}
	if got := commandsIn(script); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCommandsOn(t *testing.T) {
	t.Parallel()
	page := "`ndock list` is a word.\n\n    ndock boot ──► Nova\n    id=$(ndock show -c ID web)\n    docker save web:1 | ndock image push-glance -   # both\n" +
		"      openstack server list < x\n    # ndock stop\n"
	want := []string{"ndock show -c ID web", "docker save web:1", "ndock image push-glance -", "openstack server list"}
	if got := commandsOn(page); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
