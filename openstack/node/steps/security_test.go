package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// novaUser is who is hostile in these tests, and owns directories that setup works in.
const novaUser = 12345

// victim is a file of root's that nova may not read, nor have written.
const (
	victim      = "/usr/local/sbin/victim"
	victimsText = "[DEFAULT]\nsecret = 2999-11-25 20:08:08.335 7 ERROR hunter2\n"
)

// hostile returns a machine on which a directory is nova's, as /etc/nova is on Debian.
func hostile(t *testing.T, dir string) *fakeMachine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories away")
	}
	f := newFake(t, false)
	f.put(victim, victimsText, 0o600)
	f.must(os.MkdirAll(f.path(dir), 0o755))
	f.must(filepath.WalkDir(f.path(dir), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, novaUser, novaUser))
	}))
	return f
}

// plant puts a link to the victim where setup reads or writes.
func (f *fakeMachine) plant(path string, link func(from, to string) error) {
	f.t.Helper()
	if err := os.Remove(f.path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
	f.must(link(f.path(victim), f.path(path)))
}

func (f *fakeMachine) unharmed() {
	f.t.Helper()
	info, err := os.Lstat(f.path(victim))
	f.must(err)
	owner := info.Sys().(*syscall.Stat_t).Uid
	if text := f.content(victim); text != victimsText || info.Mode() != 0o600 || owner != 0 {
		f.t.Errorf("root's file is %q now, %s, of user %d", text, info.Mode(), owner)
	}
}

func TestWhatSetupKeepsIsRootsAlone(t *testing.T) {
	f := hostile(t, "/etc/nova")
	f.plant(configFile+earlierCopyEnding, os.Symlink)
	_, err := f.setup()
	f.must(err)
	f.unharmed()
	info, err := os.Lstat(f.path(record.File))
	f.must(err)
	if info.Mode() != 0o600 || !strings.Contains(f.status("config").Detail, "docker.DockerDriver") {
		t.Errorf("the record is %s, the step %v", info.Mode(), f.status("config"))
	}
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	f.unharmed()
	if got := f.content(configFile); got != novaComputeConf {
		t.Errorf("nova-compute.conf is\n%s", got)
	}
}

func TestSetupFollowsNoLinkOfNovas(t *testing.T) {
	for name, test := range map[string]struct {
		dir, path string
		link      func(from, to string) error
		want      string
	}{
		"configuration":           {"/etc/nova", configFile, os.Symlink, configFile + " is a symbolic link, and others than root may write to /etc/nova"},
		"configuration, hard":     {"/etc/nova", configFile, os.Link, configFile + " has a second name (a hard link), and others than root may write to its directory"},
		"a file that is read":     {"/etc/nova", "/etc/nova/nova.conf", os.Symlink, "/etc/nova/nova.conf is a symbolic link, and others than root may write to /etc/nova"},
		"a directory on the way":  {"/usr/lib/python3/dist-packages/nova", "/usr/lib/python3/dist-packages/nova/virt/docker", os.Symlink, "/usr/lib/python3/dist-packages/nova/virt/docker is a symbolic link"},
		"a pipe":                  {"/etc/nova", configFile, func(_, to string) error { return syscall.Mkfifo(to, 0o644) }, configFile + " is no regular file"},
		"the process of a daemon": {"/run/nova", "/run/nova/nova-compute.pid", os.Symlink, "/run/nova/nova-compute.pid is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			f := hostile(t, test.dir)
			f.plant(test.path, test.link)
			before := f.tree()
			_, err := f.setup()
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), f.root, ""), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			f.unharmed()
			if f.tree() != before {
				t.Error("something was changed")
			}
		})
	}
}

// The status shows nothing of a file that nova's log links to.
func TestALogThatIsALink(t *testing.T) {
	for name, link := range map[string]func(from, to string) error{
		"symbolic": os.Symlink, "hard": os.Link, "pipe": func(_, to string) error { return syscall.Mkfifo(to, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			f := hostile(t, "/var/log/nova")
			f.plant("/var/log/nova/nova-compute.log", link)
			if _, err := f.setup(); err != nil {
				t.Fatal(err)
			}
			f.lastPID = 6
			f.start("nova-compute")
			if got := f.status("nova-compute"); got.State != node.Done || strings.Contains(got.Detail, "hunter2") {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTeardownRemovesNothingBehindALink(t *testing.T) {
	const dir = "/usr/lib/python3/dist-packages/nova/virt"
	f := hostile(t, "/usr/lib/python3/dist-packages/nova")
	_, err := f.setup()
	f.must(err)
	f.must(os.RemoveAll(f.path(dir)))
	f.put("/usr/local/sbin/docker/__init__.py", marker+"\n", 0o644)
	f.must(os.Symlink(f.path("/usr/local/sbin"), f.path(dir)))
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	if !f.exists("/usr/local/sbin/docker/__init__.py") {
		t.Errorf("what the link leads to is gone; %v", err)
	}
	f.unharmed()
}

// earlierCopyEnding is behind the name of a file that earlier releases kept beside the file.
const earlierCopyEnding = ".ndock-saved"

// Earlier releases kept the former file beside the file.
func TestTeardownHonoursWhatAnEarlierReleaseKept(t *testing.T) {
	for name, test := range map[string]struct {
		owner int
		mine  bool // the configuration is nova's too
		want  string
	}{
		"root's":                     {0, false, novaComputeConf},
		"nova's, as the file is":     {novaUser, true, novaComputeConf},
		"nova's, beside root's file": {novaUser, false, strings.Replace(novaComputeConf, "compute_driver=fake.SmallFakeDriver\n", "", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			f := hostile(t, "/etc/nova")
			f.must(os.Chown(f.path(configFile), 0, 0))
			_, err := f.setup()
			f.must(err)
			f.must(f.record().Write(record.Record{}))
			f.put(configFile+earlierCopyEnding, novaComputeConf, 0o640)
			f.must(os.Chown(f.path(configFile+earlierCopyEnding), test.owner, 0))
			if test.mine {
				f.must(os.Chown(f.path(configFile), novaUser, 0))
			}
			var said lines
			_, err = node.Teardown(t.Context(), f.Steps(), said.report)
			f.must(err)
			trusted := test.owner == 0 || test.mine
			if got := f.content(configFile); got != test.want || f.exists(configFile+earlierCopyEnding) == trusted || strings.Contains(said.String(), "did not go by it") == trusted {
				t.Errorf("got\n%s\nand said\n%s", got, said.String())
			}
		})
	}
}

// What nova can write is not run as root.
func TestNovasPythonDoesNotRunAsRoot(t *testing.T) {
	f := hostile(t, "/etc/nova")
	dir := t.TempDir()
	python := filepath.Join(dir, "python3")
	f.must(os.WriteFile(python, []byte("#!/bin/sh\necho $(id -u) $SECRET >&2; echo $(id -u)/$SECRET/nova/virt | sed s,^,/,\n"), 0o755))
	f.must(os.Chmod(filepath.Dir(dir), 0o755))
	t.Setenv("SECRET", "hunter2")
	f.Layout.Program, f.Layout.Python, f.Layout.User, f.Commands = "", []string{python}, "12345", system.Shell{}
	if got, err := f.virtDirectory(t.Context()); err != nil || got != "/12345//nova/virt" {
		t.Errorf("got %s, %v", got, err)
	}
}

// Root does not write to any directory that nova answers.
func TestNovasPythonMayNotNameAnyDirectory(t *testing.T) {
	f := newFake(t, false)
	f.virt = "/etc/cron.d"
	if _, err := f.setup(); err == nil || !strings.Contains(err.Error(), "no directory of that name") {
		t.Errorf("got %v", err)
	}
}

// Nor does it make one: one of the name /etc/nologin keeps everybody out, and /run/systemd/system says who init is.
func TestNovasPythonMayNotHaveADirectoryMade(t *testing.T) {
	f := newFake(t, false)
	f.virt = "/etc/nologin/nova/virt"
	tree := f.tree()
	_, err := f.setup()
	if err == nil || !strings.HasPrefix(err.Error(), "shim: find nova.virt: ") || !strings.Contains(err.Error(), "/etc/nologin/nova/virt/__init__.py") {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != tree {
		t.Errorf("the tree was\n%s\nand is\n%s", tree, after)
	}
}

// Earlier releases had several files for their record.
func TestTeardownGoesByTheFilesOfAnEarlierRelease(t *testing.T) {
	f := newFake(t, false)
	before := f.tree()
	f.must(os.Remove(f.path("/usr/sbin/dockerd")))
	f.stop("docker")
	f.Runtime = nil // which no earlier release had
	_, err := f.setup()
	f.must(err)
	r, err := f.record().Read()
	f.must(err)
	var sums strings.Builder
	for _, c := range r.Completions {
		sums.WriteString(c.Sum + "  " + c.Path + "\n")
	}
	f.must(f.record().Write(record.Record{}))
	f.put("/var/lib/ndock/completions", sums.String(), 0o644)
	f.put("/var/lib/ndock/setup", r.Program+"\n", 0o644)
	f.put("/var/lib/ndock/engine", r.Engine+"\n", 0o644)
	f.put(configFile+earlierCopyEnding, string(r.Files[f.Layout.Config].Content), 0o640)
	f.teardown()
	f.put("/usr/sbin/dockerd", "", 0o755)
	if after := f.tree(); after != before || r.Engine != "docker.io" {
		t.Errorf("the tree was\n%s\nand is\n%s", before, after)
	}
}

// Whatever nova's Python answers, root writes the driver to one of two files, and reads none that nova names.
func TestNovasAnswerNamesNoFileOfRoots(t *testing.T) {
	for name, answer := range map[string]string{
		"a file of root's":      `{"value": "a", "file": "VICTIM", "files": ["VICTIM"], "drop_ins_win": %s}`,
		"after all others":      `{"value": "a", "file": "VICTIM", "files": ["/etc/nova/nova.conf", "/etc/nova/nova-compute.conf", "VICTIM"], "drop_ins_win": %s}`,
		"a drop-in of root's":   `{"value": "a", "file": "/etc/sysctl.d/a.conf", "files": ["/etc/sysctl.d/a.conf"], "drop_ins_win": %s}`,
		"nothing":               `{"drop_ins_win": %s}`,
		"another's words":       `{"drop_ins_win": %s} {"value": "docker.DockerDriver"}`,
		"more than there is":    `{"path": "VICTIM", "drop_ins_win": %s}`,
		"the driver, elsewhere": `{"value": "docker.DockerDriver", "file": "VICTIM", "files": ["VICTIM"], "drop_ins_win": %s}`,
	} {
		for _, wins := range []string{"true", "false"} {
			f := hostile(t, "/etc/nova")
			f.novaSays = func() (string, error) {
				return strings.ReplaceAll(strings.Replace(answer, "%s", wins, 1), "VICTIM", victim), nil
			}
			_, err := f.setup()
			if name != "the driver, elsewhere" && err == nil {
				t.Errorf("%s, %s: no error", name, wins)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s, %s: got %v", name, wins, err)
			}
			f.unharmed()
			if entries, err := os.ReadDir(f.path("/etc/sysctl.d")); err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "ndock.conf" }) {
				t.Errorf("%s, %s: /etc/sysctl.d has %v, %v", name, wins, entries, err)
			}
		}
	}
}

// Nova's Python is asked what it takes as nova, not as root, and so is the init script that names its files.
func TestNovaIsAskedAsNova(t *testing.T) {
	f := hostile(t, "/etc/nova")
	var ran []string
	f.Commands = recorder{f, &ran}
	_, err := f.config().Plan(t.Context())
	f.must(err)
	if len(ran) != 2 {
		t.Errorf("ran %q", ran)
	}
	for _, command := range ran {
		if !strings.HasPrefix(command, "setpriv --reuid=") || strings.HasPrefix(command, "setpriv --reuid=0 ") || !strings.Contains(command, "--no-new-privs --reset-env -- ") {
			t.Errorf("ran %s", command)
		}
	}
}

// What nova-compute's script says is nova's own word, and quoted in errors.
func TestAScriptThatSaysTooMuch(t *testing.T) {
	f := newFake(t, false)
	f.Commands = talker{f}
	if _, err := f.config().Plan(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "/etc/init.d/nova-compute says more than a command line can have") {
		t.Errorf("got %.200v", err)
	}
}

// talker answers the question for nova-compute's command line with a long one.
type talker struct{ system.Runner }

func (r talker) Run(ctx context.Context, command ...string) (string, error) {
	if command[len(command)-1] == "show-args" {
		return "/usr/bin/nova-compute " + strings.Repeat("--config-file=/a ", 1<<20), nil
	}
	return r.Runner.Run(ctx, command...)
}

// recorder keeps each command that is run.
type recorder struct {
	system.Runner
	ran *[]string
}

func (r recorder) Run(ctx context.Context, command ...string) (string, error) {
	*r.ran = append(*r.ran, strings.Join(command, " "))
	return r.Runner.Run(ctx, command...)
}

// The directory of the drop-in may be nova's, and what is there: root follows no link, and waits for no pipe.
func TestTheDropInFollowsNoLinkOfNovas(t *testing.T) {
	for name, plant := range map[string]func(f *fakeMachine, dir string) error{
		"the directory": func(f *fakeMachine, dir string) error { return os.Symlink(f.path("/etc/sysctl.d"), dir) },
		"the file": func(f *fakeMachine, dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), os.Symlink(f.path(victim), dir+"/ndock.conf"))
		},
		"a hard link": func(f *fakeMachine, dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), os.Link(f.path(victim), dir+"/ndock.conf"))
		},
		"a pipe": func(_ *fakeMachine, dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), syscall.Mkfifo(dir+"/ndock.conf", 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := hostile(t, "/etc/nova")
			f.novaSays = func() (string, error) { return `{"files": [], "drop_ins_win": true}`, nil }
			f.must(plant(f, f.path("/etc/nova/nova-compute.conf.d")))
			before := f.tree()
			_, err := f.setup()
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			f.unharmed()
			if after := f.tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
			if _, err := f.config().Teardown(t.Context()); err == nil {
				t.Error("teardown has no error")
			}
			f.unharmed()
		})
	}
}
