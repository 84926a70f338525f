package steps

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
)

const (
	ourRuntime = `"ndock": {"path": "/usr/libexec/ndock/ndock-runtime"}`
	ourLines   = `
  "live-restore": true,
  "runtimes": {` + ourRuntime + `},` + ourNetwork + ourLogs
	ourLogs = `,
  "log-opts": {"max-size": "10m", "max-file": "3"}`
	ourNetwork = `
  "bridge": "none",
  "iptables": false,
  "ip6tables": false,
  "ip-forward": false`
)

func TestSettingsAreAddedToTheOperatorsFile(t *testing.T) {
	for before, want := range map[string]string{
		"":    "{" + ourLines + "\n}\n",
		"{ }": "{" + ourLines + "\n}",
		" {\n\t\"log-opts\": {\"max-size\": \"1m\"},\n\t\"debug\":true }": " {" + strings.TrimSuffix(ourLines, ourLogs) + ",\n\t\"log-opts\": {\"max-size\": \"1m\"},\n\t\"debug\":true }",
		`{"runtimes": {"nvidia": {"path": "n"}}}`:                         "{\n  \"live-restore\": true," + ourNetwork + ourLogs + ",\"runtimes\": {\n  " + ourRuntime + `,"nvidia": {"path": "n"}}}`,
		`{"runtimes": {"ndock": {"path": "/old"}}, "live-restore": true}`: "{" + ourNetwork + ourLogs + `,"runtimes": {` + ourRuntime + `}, "live-restore": true}`,
		`{"ip-forward": true, "bridge": "br0", "live-restore": true}`:     "{\n  \"runtimes\": {" + ourRuntime + "},\n  \"iptables\": false,\n  \"ip6tables\": false" + ourLogs + `,"ip-forward": true, "bridge": "br0", "live-restore": true}`,
		"\xef\xbb\xbf{ }": "\xef\xbb\xbf{" + ourLines + "\n}",
		"\xef\xbb\xbf":    "\xef\xbb\xbf{" + ourLines + "\n}\n",
		`{"runtimes": null, "live-restore": null, "log-opts": null, "bridge": null}`: "{\n  \"iptables\": false,\n  \"ip6tables\": false,\n  \"ip-forward\": false,\"runtimes\": {" + ourRuntime + `}, "live-restore": true, "log-opts": {"max-size": "10m", "max-file": "3"}, "bridge": "none"}`,
		`{"runtimes": {}, "live-restore": false}`:                                    "{" + ourNetwork + ourLogs + ",\"runtimes\": {\n  " + ourRuntime + "\n}, \"live-restore\": false}",
	} {
		f := newFake(t, false)
		f.put(dockerd.File, before, 0o600)
		tree := f.tree()
		_, err := f.setup()
		f.must(err)
		got, err := os.ReadFile(f.path(dockerd.File))
		f.must(err)
		if string(got) != want || f.live == strings.Contains(before, "false") {
			t.Errorf("%q became %q, live-restore %t", before, got, f.live)
		}
		_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
		f.must(err)
		if after := f.tree(); after != tree {
			t.Errorf("after teardown of %s the tree is\n%s", want, after)
		}
	}
}

// Setup does not change what the operator has decided.
func TestLiveRestoreIsLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		cause func(f *fakeMachine)
		says  string
	}{
		"switched off by hand": {func(f *fakeMachine) { f.put(dockerd.File, `{"live-restore": false}`, 0o600) }, "live-restore is off: servers stop when Docker Engine is restarted ("},
		"on by hand":           {func(f *fakeMachine) { f.put(dockerd.File, `{"live-restore": true}`, 0o600); f.live = true }, "servers run on"},
		"on by a flag":         {func(f *fakeMachine) { f.live, f.flag = true, true }, "servers run on"},
		"in a swarm":           {func(f *fakeMachine) { f.swarm = true }, "the engine is in a swarm"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			test.cause(f)
			live := f.live
			said, err := f.setup()
			f.must(err)
			if detail := f.status("daemon.json").Detail; strings.Contains(said, "set live-restore") || !strings.HasPrefix(detail, test.says) {
				t.Errorf("said\n%s\nand then %s", said, detail)
			}
			_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
			f.must(err)
			if got, _ := os.ReadFile(f.path(dockerd.File)); strings.Contains(string(got), "ndock") || f.live != live {
				t.Errorf("after teardown it is %s, live-restore %t", got, f.live)
			}
		})
	}
}

// TestASettingThatIsNew: an earlier release made the others, and teardown still removes them all.
func TestASettingThatIsNew(t *testing.T) {
	f := newFake(t, false)
	tree := f.tree()
	f.put(dockerd.File, "{\n  \"live-restore\": true,\n  \"runtimes\": {"+ourRuntime+"}\n}\n", 0o644)
	f.live = true
	_, err := f.setup()
	f.must(err)
	if got, _ := os.ReadFile(f.path(dockerd.File)); string(got) != "{"+ourLines+"\n}\n" {
		t.Errorf("it became %s", got)
	}
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	if after := f.tree(); after != tree {
		t.Errorf("after teardown the tree is\n%s", after)
	}
}

// TestAnEngineThatSetupInstalled has no containers yet, and so can get userns-remap.
func TestAnEngineThatSetupInstalled(t *testing.T) {
	for name, test := range map[string]struct {
		images int
		want   bool
	}{"fresh": {0, true}, "with data of before": {1, false}} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.stop("docker")
			f.must(os.Remove(f.path("/usr/sbin/dockerd")))
			f.info.Images = test.images
			_, err := f.setup()
			f.must(err)
			got, err := os.ReadFile(f.path(dockerd.File))
			if err != nil || strings.Contains(string(got), `"userns-remap": "default"`) != test.want {
				t.Errorf("it is %s, %v", got, err)
			}
			if got := f.plan(); got != "" {
				t.Errorf("a second run would\n%s", got)
			}
			_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
			f.must(err)
			for _, path := range []string{dockerd.File, "/var/lib/ndock"} {
				if f.exists(path) {
					t.Errorf("%s is still there", path)
				}
			}
		})
	}
}

// TestImagesOfGlanceDoNotKeepSettings: teardown removes them first, and only them.
func TestImagesOfGlanceDoNotKeepSettings(t *testing.T) {
	for name, test := range map[string]struct {
		operators int // images
		says      string
		left      bool
	}{
		"alone":                  {0, "orphans: removed 2 of Glance's images from Docker Engine", false},
		"beside the operator's":  {1, "daemon.json: left /etc/docker/daemon.json as it is: without userns-remap", true},
		"of an engine that died": {0, "orphans: left Glance's images (ndock/glance) in Docker Engine: docker does not answer", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.stop("docker")
			f.must(os.Remove(f.path("/usr/sbin/dockerd")))
			_, err := f.setup()
			f.must(err)
			f.cached, f.info.Images = 2, 2+test.operators
			if strings.Contains(test.says, "does not answer") {
				f.Force, f.deaf["docker"] = true, true
			}
			if said := f.teardown(); !strings.Contains(said, test.says) || strings.Count(said, "Glance's images") != 1 {
				t.Errorf("said\n%s", said)
			}
			if f.exists(dockerd.File) != test.left || f.info.Images != test.operators && !f.Force {
				t.Errorf("%s is there: %t; %d images", dockerd.File, f.exists(dockerd.File), f.info.Images)
			}
		})
	}
}

// With these settings beside ours the engine would not start, or have a bridge all the same.
func TestSettingsThatDoNotGoTogether(t *testing.T) {
	for _, text := range []string{`{"bip": "10.0.0.1/24"}`, `{"icc": false}`, `{"fixed-cidr": "10.0.0.0/25"}`} {
		f := newFake(t, false)
		f.put(dockerd.File, text, 0o600)
		_, err := f.setup()
		f.must(err)
		got, err := os.ReadFile(f.path(dockerd.File))
		if err != nil || strings.Contains(string(got), "iptables") {
			t.Errorf("it is %s, %v", got, err)
		}
		if detail := f.status("daemon.json").Detail; !strings.Contains(detail, "decided on by hand") {
			t.Errorf("said %s", detail)
		}
	}
}

// TestAnEngineThatDoesNotStartAgain with the new file gets the old one back, and runs.
func TestAnEngineThatDoesNotStartAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, f *fakeMachine) {
		f.strict = true
		before := f.tree()
		if _, err := f.setup(); err == nil || !strings.HasPrefix(err.Error(), "daemon.json: restart Docker Engine: ") {
			t.Errorf("got %v", err)
		}
		if after := f.tree(); after != before || f.pid("docker") == 0 {
			t.Errorf("it runs as %d, and the tree is\n%s", f.pid("docker"), after)
		}
	})
}

// A file that was edited since setup made it stays, and teardown says so.
func TestDaemonJSONThatSetupMadeAndSomeoneEdited(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	content, err := os.ReadFile(f.path(dockerd.File))
	f.must(err)
	f.put(dockerd.File, strings.Replace(string(content), "{", "{\n  \"debug\": true,", 1), 0o600)
	var said lines
	_, err = node.Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if !strings.Contains(said.String(), "as it is: it was edited since, and has settings of setup's") {
		t.Errorf("said\n%s", &said)
	}
}

// TestAnEngineThatDoesNotKnowTheRuntime was started with another file, and has to read the present one.
func TestAnEngineThatDoesNotKnowTheRuntime(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.runtimes = nil
	_, err = f.setup()
	f.must(err)
	if len(f.runtimes) != 1 {
		t.Errorf("it has %v", f.runtimes)
	}
}

func TestDaemonJSONThatWasEditedSinceStays(t *testing.T) {
	f := newFake(t, false)
	f.put(dockerd.File, `{"debug": true}`, 0o600)
	_, err := f.setup()
	f.must(err)
	f.put(dockerd.File, `{"live-restore": true}`, 0o600)
	var said lines
	_, err = node.Teardown(t.Context(), f.Steps(), said.report)
	f.must(err)
	if got, _ := os.ReadFile(f.path(dockerd.File)); string(got) != `{"live-restore": true}` || !strings.Contains(said.String(), "edited since") {
		t.Errorf("it is %s; said\n%s", got, &said)
	}
}

// TestSettingsThatCannotBeMade are an error of the plan, before setup has changed anything.
func TestSettingsThatCannotBeMade(t *testing.T) {
	for name, test := range map[string]struct{ file, flags, says string }{
		"no object":        {"null", "", "is no object"},
		"UTF-16":           {"\xff\xfe{\x00}\x00", "", "UTF-16"},
		"iptables":         {"", "--iptables=false", "--iptables"},
		"a runtime":        {"", "--add-runtime\x00a=/b", "--add-runtime"},
		"a bridge":         {"", "-b\x00none", "--bridge"},
		"a bridge, joined": {"", "-bnone", "--bridge"},
	} {
		f := newFake(t, false)
		if test.file != "" {
			f.put(dockerd.File, test.file, 0o600)
		}
		f.put(fmt.Sprintf("/proc/%d/cmdline", f.pid("docker")), "/usr/bin/dockerd\x00--debug\x00"+test.flags+"\x00", 0o444)
		tree := f.tree()
		_, err := node.Plan(t.Context(), f.Steps(), new(lines).report)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: planned with %v", name, err)
		}
		if _, err := f.setup(); err == nil || f.tree() != tree {
			t.Errorf("%s: set up with %v, and the tree is\n%s", name, err, f.tree())
		}
	}
}

// inUnit returns what systemd says of a unit with this command line.
func inUnit(line, environment string, files ...string) map[string]string {
	shown := map[string]string{
		"ExecStart":   "{ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd " + line + " ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n",
		"Environment": environment + "\n",
	}
	for _, file := range files {
		shown["EnvironmentFiles"] += file + " (ignore_errors=yes)\n"
	}
	return shown
}

// TestFlagsOfAnEngineThatDoesNotRun are read from where it would be started with them.
func TestFlagsOfAnEngineThatDoesNotRun(t *testing.T) {
	const file = "/etc/default/docker"
	for name, test := range map[string]struct {
		shown    map[string]string // by systemd; without, it is no machine of systemd's
		defaults string
		says     string // no fault, where it is empty
	}{
		"in the unit":                {inUnit("-H fd:// --iptables=false", ""), "", "--iptables"},
		"in the second of two":       {map[string]string{"ExecStart": inUnit("", "")["ExecStart"] + inUnit("--iptables=false", "")["ExecStart"]}, "", "--iptables"},
		"in an environment":          {inUnit("-H fd:// $DOCKER_OPTS $OTHER", `A=1 "DOCKER_OPTS=--debug --iptables=false" B=2`), "", "--iptables"},
		"in a short one":             {inUnit("${DOCKER_OPTS}", `DOCKER_OPTS=--iptables=false`), "", "--iptables"},
		"in a file":                  {inUnit("-H fd:// $DOCKER_OPTS", "", file), "#DOCKER_OPTS=\nDOCKER_OPTS=\"--debug --iptables=false\"\n", "--iptables"},
		"in one of some files":       {inUnit("$DOCKER_OPTS", "", "/etc/default/dock*"), "DOCKER_OPTS=--iptables=false\n", "--iptables"},
		"in a file, over two lines":  {inUnit("-H fd:// $DOCKER_OPTS", "", file), "DOCKER_OPTS='--debug \\\n  --iptables=false'\n", "--iptables"},
		"in a file that adds":        {inUnit("$DOCKER_OPTS", "", file), "DOCKER_OPTS=--iptables=false\nDOCKER_OPTS=\"$DOCKER_OPTS --debug\"\n", "--iptables"},
		"in a comment behind it":     {nil, "DOCKER_OPTS='--debug' # not --iptables=false\n", ""},
		"in a comment behind words":  {nil, "DOCKER_OPTS=--debug # not --iptables=false\n", ""},
		"in an init script's":        {nil, "export DOCKER_OPTS=\"--iptables=false\"\n", "--iptables"},
		"in a variable not used":     {inUnit("-H fd://", "DOCKER_OPTS=--iptables=false", file), "DOCKER_OPTS=--iptables=false\n", ""},
		"of which a file has none":   {inUnit("$DOCKER_OPTS", "DOCKER_OPTS=--iptables=false", file), "DOCKER_OPTS=--debug\n", ""},
		"a file that is not there":   {inUnit("$DOCKER_OPTS", "", "/etc/none"), "", ""},
		"none":                       {inUnit("-H fd://", ""), "", ""},
		"no unit":                    {map[string]string{}, "", ""},
		"live-restore, decided":      {inUnit("--live-restore", ""), "", ""},
		"live-restore, switched off": {inUnit("--live-restore=false", ""), "", ""},
		"options of logs, and root":  {inUnit("--log-opt max-file=5 --userns-remap=default", ""), "", ""},
		"another file":               {inUnit("--config-file /etc/docker/mine.json", ""), "", "/etc/docker/mine.json"},
		"the same file":              {inUnit("--config-file=/etc/docker/daemon.json", ""), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, test.shown != nil)
			f.stop("docker")
			f.shown = test.shown
			if test.defaults != "" {
				f.put(file, test.defaults, 0o644)
			}
			_, err := node.Plan(t.Context(), f.Steps(), new(lines).report)
			if got := fmt.Sprint(err); (err != nil) != (test.says != "") || !strings.Contains(got, test.says) {
				t.Errorf("planned with %v", err)
			}
		})
	}
}

// Flags are not shown: there may be secrets beside them.
func TestFlagsAreNotShown(t *testing.T) {
	f := newFake(t, true)
	f.stop("docker")
	f.shown = inUnit("$DOCKER_OPTS", `HTTPS_PROXY=http://user:secret@proxy "DOCKER_OPTS=--iptables=false --label=secret"`)
	if _, err := node.Plan(t.Context(), f.Steps(), new(lines).report); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("planned with %v", err)
	}
}

// TestFlagsOfABridge count as settings: Docker Engine does not start with them and bridge "none".
func TestFlagsOfABridge(t *testing.T) {
	for _, flags := range []string{"--bip=10.1.0.1/24", "--bip\x0010.1.0.1/24", "--fixed-cidr=10.0.0.0/25", "--icc=false"} {
		for _, runs := range []bool{true, false} {
			f := newFake(t, true)
			f.put(fmt.Sprintf("/proc/%d/cmdline", f.pid("docker")), "/usr/bin/dockerd\x00"+flags+"\x00", 0o444)
			if !runs {
				f.stop("docker")
				f.shown = inUnit(strings.ReplaceAll(flags, "\x00", " "), "")
			}
			_, err := f.setup()
			f.must(err)
			if got := f.content(dockerd.File); strings.Contains(got, "bridge") || !strings.Contains(got, "ndock") {
				t.Errorf("%q: it is %s", flags, got)
			}
			if detail := f.status("daemon.json").Detail; !strings.Contains(detail, "decided on by hand") {
				t.Errorf("%q: said %s", flags, detail)
			}
		}
	}
}

// TestALogDriverThatIsAFlag has other options: with those of another driver, Docker Engine makes no container.
func TestALogDriverThatIsAFlag(t *testing.T) {
	f := newFake(t, true)
	f.stop("docker")
	f.shown = inUnit("--log-driver journald", "")
	if got := f.plan(); strings.Contains(got, "what containers say") || !strings.Contains(got, "no bridge") {
		t.Errorf("planned\n%s", got)
	}
}

// TestAUnitThatWasEdited since the engine was started keeps it from starting again.
func TestAUnitThatWasEdited(t *testing.T) {
	f := newFake(t, true)
	f.put(fmt.Sprintf("/proc/%d/cmdline", f.pid("docker")), "/usr/bin/dockerd\x00", 0o444)
	f.shown = inUnit("--iptables=false", "")
	if _, err := node.Plan(t.Context(), f.Steps(), new(lines).report); err == nil || !strings.Contains(err.Error(), "--iptables") {
		t.Errorf("planned with %v", err)
	}
}

// TestFlagsThatDoNotMatter are not those of settings that setup makes.
func TestFlagsThatDoNotMatter(t *testing.T) {
	f := newFake(t, false)
	f.live, f.flag = true, true
	f.put(fmt.Sprintf("/proc/%d/cmdline", f.pid("docker")), "/usr/bin/dockerd\x00--live-restore\x00-H\x00fd://\x00", 0o444)
	_, err := f.setup()
	f.must(err)
}

// A setup that fails goes back to how it found the machine, not to how an earlier setup found it.
func TestAFailedSecondSetupKeepsWhatTheFirstDid(t *testing.T) {
	for name, cause := range map[string]func(f *fakeMachine){
		"the engine does not read its file":     func(f *fakeMachine) { f.runtimes, f.stubborn = nil, true },
		"the engine that was installed is deaf": func(f *fakeMachine) { f.stop("docker"); f.deaf["docker"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.stop("docker")
			f.must(os.Remove(f.path("/usr/sbin/dockerd")))
			_, err := f.setup()
			f.must(err)
			cause(f)
			before := f.tree()
			if _, err := f.setup(); err == nil {
				t.Error("no error")
			}
			if after := f.tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
		})
	}
}
