package oslo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A library is an oslo.config that the question is put to.
type library struct {
	python []string
	root   string // that the Python sees as /; empty where it sees this machine's
}

// libraries returns the oslo.config of this machine, and those of the roots that testdata/debian/unpack made.
func libraries(t *testing.T) map[string]library {
	t.Helper()
	const python3 = "/usr/bin/python3"
	all := map[string]library{}
	if exec.Command(python3, "-c", "import oslo_config").Run() == nil {
		all["this machine's"] = library{python: []string{python3}}
	}
	for _, root := range strings.Fields(os.Getenv("NDOCK_NOVA_ROOTS")) {
		all[filepath.Base(root)] = library{[]string{"/usr/sbin/chroot", root, python3}, root}
	}
	if len(all) == 0 {
		t.Skip("there is no oslo.config: 'make cloud' installs it, and 'make nova-roots' that of other releases")
	}
	return all
}

// home makes a home directory for nova, where oslo.config looks before it looks in /etc, and returns its path as the library
// sees it.
func (l library) home(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(l.root, "/tmp"), "ndock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return strings.TrimPrefix(dir, l.root)
}

// ask puts the question to the library, for a nova whose home this is.
func (l library) ask(t *testing.T, home string, commandLine ...string) (Setting, error) {
	return l.askFor(t, home, "DEFAULT", "compute_driver", commandLine...)
}

func (l library) askFor(t *testing.T, home, section, option string, commandLine ...string) (Setting, error) {
	return Ask(t.Context(), l.python, section, option, commandLine, func(ctx context.Context, command ...string) (string, error) {
		asked := exec.CommandContext(ctx, command[0], command[1:]...)
		asked.Dir, asked.Env = "/", []string{"HOME=" + home}
		var said strings.Builder
		asked.Stderr = &said
		out, err := asked.Output()
		if err != nil {
			err = fmt.Errorf("run %q: %w: %s", strings.Join(command, " "), err, said.String())
		}
		return string(out), err
	})
}

func sets(driver string) string { return "[DEFAULT]\ncompute_driver = " + driver + "\n" }

// What Nova takes, of every release: files that are named beat directories that are not, and those beat files that are not.
func TestWhatNovaTakes(t *testing.T) {
	both := map[string]string{"nova.conf": sets("first"), "nova-compute.conf": sets("file"), "nova-compute.conf.d/10.conf": sets("drop-in")}
	two := map[string]string{"nova.conf": sets("first"), "nova-compute.conf": "[DEFAULT]\n", "nova-compute.conf.d/10.conf": sets("10"), "nova-compute.conf.d/9.conf": sets("9")}
	none := map[string]string{"nova.conf": "[DEFAULT]\n", "nova-compute.conf": ""}
	const files = "--config-file=HOME/nova.conf --config-file=HOME/nova-compute.conf"
	for name, test := range map[string]struct {
		files map[string]string
		words string
		value string
		file  string
		wins  bool
	}{
		"as RDO's unit does":             {both, "", "drop-in", "nova-compute.conf.d/10.conf", true},
		"as Debian's script does":        {both, files + " --log-file=/var/log/nova/nova-compute.log", "file", "nova-compute.conf", false},
		"as DevStack's unit does":        {both, "--config-file HOME/nova-compute.conf", "file", "nova-compute.conf", false},
		"a file that sets none":          {two, "--config-file HOME/nova-compute.conf", "9", "nova-compute.conf.d/9.conf", false},
		"the first of two files":         {two, files, "first", "nova.conf", false},
		"the last name of a directory":   {two, "", "9", "nova-compute.conf.d/9.conf", true},
		"a directory that is named":      {both, files + " --config-dir HOME/nova-compute.conf.d", "drop-in", "nova-compute.conf.d/10.conf", false},
		"a directory before the files":   {both, "--config-dir=HOME/nova-compute.conf.d " + files, "file", "nova-compute.conf", false},
		"a directory alone":              {both, "--config-dir=HOME/nova-compute.conf.d", "drop-in", "nova-compute.conf.d/10.conf", false},
		"nothing":                        {none, "", "", "", true},
		"nothing, and files are named":   {none, "--config-file=HOME/nova.conf", "", "", false},
		"twice in a file":                {map[string]string{"nova.conf": sets("a") + sets("b")}, "--config-file=HOME/nova.conf", "b", "nova.conf", false},
		"in another section as well":     {map[string]string{"nova.conf": sets("a") + "[x]\ncompute_driver = b\n"}, "--config-file=HOME/nova.conf", "a", "nova.conf", false},
		"words that are not about files": {both, "--debug --use-syslog nonsense " + files, "file", "nova-compute.conf", false},
	} {
		for of, library := range libraries(t) {
			t.Run(name+", "+of, func(t *testing.T) {
				home := library.home(t, test.files)
				got, err := library.ask(t, home, strings.Fields(strings.ReplaceAll(test.words, "HOME", home))...)
				file := test.file
				if file != "" {
					file = filepath.Join(home, file)
				}
				if err != nil || got.Value != test.value || got.File != file || got.DropInsWin != test.wins {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
	}
}

// An option of another section is that section's alone.
func TestWhatNovaTakesOfASection(t *testing.T) {
	for of, library := range libraries(t) {
		home := library.home(t, map[string]string{
			"nova.conf": "[DEFAULT]\nauth_type = no\n[service_user]\nauth_type = password\n[placement]\nauth_url = x\n", "nova-compute.conf": "[service_user]\n",
		})
		got, err := library.askFor(t, home, "service_user", "auth_type")
		if err != nil || got.Value != "password" || got.File != home+"/nova.conf" {
			t.Errorf("%s: got %+v, %v", of, got, err)
		}
		if got, err := library.askFor(t, home, "service_user", "auth_url"); err != nil || got.Value != "" || got.File != "" {
			t.Errorf("%s: got %+v, %v", of, got, err)
		}
	}
}

// The files are those that are read, in their order.
func TestWhichFilesNovaReads(t *testing.T) {
	for of, library := range libraries(t) {
		home := library.home(t, map[string]string{"nova.conf": "", "nova-compute.conf": sets("a"), "nova.conf.d/b.conf": "", "nova-compute.conf.d/a.conf": "", "nova-compute.conf.d/c": ""})
		for words, want := range map[string]string{
			"": "nova.conf nova-compute.conf nova.conf.d/b.conf nova-compute.conf.d/a.conf",
			"--config-file=" + home + "/nova-compute.conf": "nova.conf.d/b.conf nova-compute.conf.d/a.conf nova-compute.conf",
		} {
			got, err := library.ask(t, home, strings.Fields(words)...)
			if files := strings.ReplaceAll(strings.Join(got.Files, " "), home+"/", ""); err != nil || files != want || got.File != home+"/nova-compute.conf" {
				t.Errorf("%s: got %+v, %v", of, got, err)
			}
		}
	}
}

// What Nova itself could not read is an error, in which no line of a file is shown, nor the question.
func TestWhatNovaCannotRead(t *testing.T) {
	for text, want := range map[string]string{
		"[DEFAULT]\nhunter2\n": "oslo.config cannot parse ",
		sets("$hunter3"):       "hunter3",
	} {
		for of, library := range libraries(t) {
			home := library.home(t, map[string]string{"nova.conf": text})
			_, err := library.ask(t, home, "--config-file="+home+"/nova.conf")
			if err == nil || !strings.HasPrefix(err.Error(), "ask Nova's oslo.config for compute_driver: ") || !strings.Contains(err.Error(), want) ||
				strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "import") {
				t.Errorf("%s: got %v", of, err)
			}
		}
	}
}

// The answer may be nova's own word: only what has the form of one counts.
func TestAnswersThatAreNone(t *testing.T) {
	const good = `{"value": "a", "file": "/etc/nova/nova.conf", "files": ["/etc/nova/nova.conf"], "drop_ins_win": true}`
	for _, answer := range []string{
		"", "null and void", `{"value": 1}`, good + good, good + " more", `{"value": "a", "path": "/etc/shadow"}`, `["a"]`,
		`{"files": ["nova.conf"]}`, `{"files": ["/etc/nova/../shadow"]}`, `{"files": ["/etc/\u001b[2J"]}`, `{"file": "/etc/shadow"}`, `{"drop_ins_win": "yes"}`,
		"{\"value\": \"\xff\"}", `{"value": "` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		got, err := Ask(t.Context(), nil, "DEFAULT", "compute_driver", nil, func(context.Context, ...string) (string, error) { return answer, nil })
		if err == nil || got.Value != "" || got.File != "" || len(err.Error()) > 200 {
			t.Errorf("%.80q: got %.80v, %v", answer, got, err)
		}
	}
	if got, err := parseSetting(good + "\n"); err != nil || got.File != "/etc/nova/nova.conf" || !got.DropInsWin {
		t.Errorf("got %v, %v", got, err)
	}
}

// The question is put with the words that are about files, and no others: it knows no others.
func TestConfigWords(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/nova-compute": "",
		"nova-compute --config-file /a --log-file /b --config-dir=/c": "--config-file=/a --config-dir=/c",
		"nova-compute --config-file":                                  "",
		"nova-compute --config-file= --debug":                         "",
		"nova-compute --config-files /a --config-file=/b=c":           "--config-file=/b=c",
	} {
		if got := ConfigWords(strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: got %q", line, got)
		}
	}
}
