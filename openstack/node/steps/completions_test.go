package steps

import (
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/system"
)

const manPage, bashFile = "/usr/local/share/man/man1/ndock.1", "/usr/local/share/bash-completion/completions/ndock"

// helpFiles returns the man page and a completion of a release.
func helpFiles(release string) []system.File {
	return []system.File{
		{Path: manPage, Content: []byte("man page of " + release), Mode: 0o644},
		{Path: bashFile, Content: []byte("completion of " + release), Mode: 0o644},
	}
}

// teardown runs a teardown as a new process would, and returns what it said.
func (f *fakeMachine) teardown() string {
	f.t.Helper()
	var said lines
	_, err := node.Teardown(f.t.Context(), f.Steps(), said.report)
	f.must(err)
	return strings.ReplaceAll(said.String(), f.root, "")
}

func TestCompletionsAreInstalledAndRemoved(t *testing.T) {
	f := newFake(t, false)
	f.must(os.MkdirAll(f.path("/usr/local/share/man"), 0o755)) // Debian's, and empty
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	if got := f.status("completions"); got.State != node.Done || f.content(manPage) != "man page of today" {
		t.Errorf("%v; the page is %q", got, f.content(manPage))
	}
	if said := f.teardown(); !strings.Contains(said, "completions: removed "+manPage+"\n") {
		t.Errorf("said\n%s", said)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

func TestCompletionsOfAnotherReleaseAreReplaced(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.Completions = helpFiles("tomorrow")
	if got, want := f.plan(), "completions: write "+manPage+"\ncompletions: write "+bashFile; got != want {
		t.Errorf("planned\n%s\nwant\n%s", got, want)
	}
	_, err = f.setup()
	f.must(err)
	f.Completions = helpFiles("the day after")
	f.teardown()
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

func TestTeardownLeavesCompletionsThatAreNotSetups(t *testing.T) {
	f := newFake(t, false)
	f.put(manPage, "of a package", 0o644)
	_, err := f.setup()
	f.must(err)
	f.put(bashFile, "of the operator", 0o644)
	said := f.teardown()
	if !strings.Contains(said, "completions: left "+bashFile+", which was edited") || strings.Contains(said, manPage) {
		t.Errorf("said\n%s", said)
	}
	if got := f.content(manPage) + ", " + f.content(bashFile); got != "man page of today, of the operator" {
		t.Errorf("left %s", got)
	}
	if said := f.teardown(); said != "" {
		t.Errorf("again it said\n%s", said)
	}
}

func TestCompletionsThatAreThereAlreadyStay(t *testing.T) {
	f := newFake(t, false)
	for _, file := range f.Completions {
		f.put(file.Path, string(file.Content), 0o644)
	}
	before := f.tree()
	_, err := f.setup()
	f.must(err)
	f.teardown()
	if after := f.tree(); after != before {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

func TestNothingIsBegunWhereCompletionsCannotBeWritten(t *testing.T) {
	f := newFake(t, false)
	f.put("/usr/local/share/bash-completion", "a file", 0o644)
	before := f.tree()
	if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "completions: read ") {
		t.Errorf("got %v", err)
	}
	if f.tree() != before || len(f.commands) > 0 {
		t.Errorf("something was changed; ran %q", f.commands)
	}
}
