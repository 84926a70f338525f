package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/go-units"
)

func write(t *testing.T, content string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("the file has to be root's")
	}
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	got, err := Load(write(t, `
no_new_privileges: false
seccomp: unconfined
apparmor: my-profile
cap_drop: [NET_RAW, CAP_MKNOD]
cap_add: [SYS_PTRACE]
pids_limit: 100
shm_size_mb: 256
image_max_unpacked_gb: 20
image_reserve_gb: 0
ulimits: {nofile: 1024:2048, core: 1:2}
healthcheck: false
whole_snapshots: true
runtime: crun
runtimes: {crun: {path: /usr/bin/crun}, gvisor: {path: /opt/runsc, args: [--debug]}}
healthcheck_min_interval: 3
devices: {PGPU: nvidia.com/gpu}
metrics: "[::1]:9105"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Seccomp: "unconfined", AppArmor: "my-profile", CapDrop: []string{"NET_RAW", "CAP_MKNOD"}, CapAdd: []string{"SYS_PTRACE"},
		Metrics: "[::1]:9105", PidsLimit: 100, ShmSizeMB: 256, ImageMaxUnpackedGB: 20, WholeSnapshots: true, RawUlimits: map[string]string{"nofile": "1024:2048", "core": "1:2"},
		Ulimits: []*units.Ulimit{{Name: "core", Soft: 1, Hard: 2}, {Name: "nofile", Soft: 1024, Hard: 2048}}, HealthcheckMin: 3,
		Runtime: "crun", Runtimes: map[string]Runtime{"crun": {Path: "/usr/bin/crun"}, "gvisor": {Path: "/opt/runsc", Args: []string{"--debug"}}},
		Devices: map[string]string{"PGPU": "nvidia.com/gpu"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestWhatSetupWrites sets nothing; and each line that is commented out is one that can be taken in as it stands.
func TestWhatSetupWrites(t *testing.T) {
	got, err := parse(strings.NewReader(string(Commented())))
	if err != nil || !reflect.DeepEqual(got, Default()) {
		t.Errorf("got %+v, %v", got, err)
	}
	text := strings.Replace(strings.Replace(string(Commented()), "#ulimits: {}\n", "", 1), "#runtimes: {}\n", "", 1)
	text = regexp.MustCompile(`(?m)^#(\S|  \S)`).ReplaceAllString(text, "$1")
	got, err = parse(strings.NewReader(text))
	want := Default()
	want.CapAdd, want.Bridges, want.Devices = []string{}, []string{}, map[string]string{}
	want.Runtimes = map[string]Runtime{"crun": {Path: "/usr/bin/crun"}, "gvisor": {Path: "/usr/local/bin/runsc", Args: []string{"--platform=systrap"}}}
	want.RawUlimits = map[string]string{"nofile": "1024:524288", "core": "0"}
	want.Ulimits = []*units.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 1024, Hard: 524288}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v\nof\n%s", got, err, want, text)
	}
}

// TestWhatADefaultTakesAway can be given back, and the rest of the defaults holds beside what is set.
func TestWhatADefaultTakesAway(t *testing.T) {
	got, err := parse(strings.NewReader("cap_drop: []\nulimits: {nofile: 5}\n"))
	if err != nil || len(got.CapDrop) > 0 {
		t.Errorf("got %v, %v", got.CapDrop, err)
	}
	if want := []*units.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 5, Hard: 5}}; !reflect.DeepEqual(got.Ulimits, want) {
		t.Errorf("got %v", got.Ulimits)
	}
	if want := []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"}; !reflect.DeepEqual(Default().CapDrop, want) {
		t.Errorf("got %v", Default().CapDrop)
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	kind := reflect.TypeFor[Config]()
	for i := range kind.NumField() {
		if key := kind.Field(i).Tag.Get("yaml"); key != "-" && !strings.Contains(string(Commented()), "\n#"+key+":") {
			t.Errorf("%s is not in what setup writes", key)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for content, says := range map[string]string{
		"# fine\nprivileged: true\n":                                               "line 2: field privileged not found",
		"no_new_privileges: maybe\n":                                               "line 1: cannot unmarshal !!str `maybe` into bool",
		"pids_limit: 1\npids_limit: 2\n":                                           `key "pids_limit" already defined at line 1`,
		"pids_limit: 0\n":                                                          "pids_limit: 0",
		"pids_limit: -1\n":                                                         "pids_limit: -1",
		"shm_size_mb: 0\n":                                                         "shm_size_mb: 0",
		"healthcheck_min_interval: 0\n":                                            "healthcheck_min_interval: 0",
		"healthcheck_min_interval: 1s\n":                                           "line 1: cannot unmarshal",
		"runtime: gvisor\n":                                                        `runtime: "gvisor" is not one of runtimes`,
		"runtimes: {runc: {path: /usr/bin/other}}\n":                               "needs no mention",
		"runtimes: {../x: {path: /usr/bin/runsc}}\n":                               `runtimes: "../x" is no name`,
		"runtimes: {GVISOR: {path: /usr/bin/runsc}}\n":                             `runtimes: "GVISOR" is no name`,
		"runtimes: {g: {path: runsc}}\n":                                           `runtimes: g: "runsc" is no whole path`,
		"runtimes: {g: {path: /usr/bin/../../x}}\n":                                "is no whole path",
		"runtimes: {g: {}}\n":                                                      "is no whole path",
		"runtimes: {g: {path: /x, args: [\"a\\0\"]}}\n":                            "an argument",
		"runtimes: {g: {path: /x, runtimeArgs: [--x]}}\n":                          "field runtimeArgs not found",
		"runtimes: {g: {path: /x, args: [--debug, --ignore-cgroups]}}\n":           "outside their cgroups",
		"runtimes: {g: {path: /x, args: [-ignore-cgroups=true, --debug]}}\n":       "outside their cgroups",
		"runtimes: {g: {path: /x, args: [--cgroup-manager=disabled]}}\n":           "outside their cgroups",
		"runtimes: {g: {path: /x, args: [--debug, --cgroup-manager, disabled]}}\n": "outside their cgroups",
		"seccomp: strict\n":                                                        `seccomp: "strict" is neither`,
		"seccomp: /no/such/profile\n":                                              "seccomp: open /no/such/profile",
		"apparmor: \"a b\"\n":                                                      `apparmor: "a b"`,
		"cap_add: [ALL]\n":                                                         `cap_add: "ALL" is no capability`,
		"cap_drop: [net_raw]\n":                                                    `cap_drop: "net_raw" is no capability`,
		"ulimits: {files: 1}\n":                                                    "ulimits: files: invalid ulimit type: files",
		"ulimits: {nofile: 2:1}\n":                                                 "ulimits: nofile: ",
		"pids_limit: 1\n---\npids_limit: 2":                                        "second document",
		"[no_new_privileges]\n":                                                    "line 1: ",
		"no_new_privileges: true\n  x: \t1 {":                                      "line",
		"metrics: 9105\n":                                                          `metrics: "9105" is no address of this host with a port`,
		"metrics: :9105\n":                                                         `metrics: ":9105" is no address`,
		"metrics: localhost:9105\n":                                                `metrics: "localhost:9105" is no address`,
		"metrics: 127.0.0.1:0\n":                                                   `metrics: "127.0.0.1:0" is no address`,
		"metrics: 127.0.0.1:99999\n":                                               "metrics: ",
		"metrics: /run/metrics.sock\n":                                             "metrics: ",
		"metrics: [127.0.0.1:9105]\n":                                              "line 1: cannot unmarshal",
		"bridges: [br/../eth0]\n":                                                  `bridges: "br/../eth0" is no bridge's name`,
		"bridges: [a-name-that-is-too-long]\n":                                     "bridges: ",
		"devices: {VCPU: a.com/b}\n":                                               `devices: "VCPU" is no resource class for devices`,
		"devices: {CUSTOM_a: a.com/b}\n":                                           `devices: "CUSTOM_a" is no resource class`,
		"devices: {PGPU: gpu}\n":                                                   `devices: PGPU: "gpu" is no kind of devices`,
		"devices: {PGPU: a.com/b=0}\n":                                             `devices: PGPU: "a.com/b=0" is no kind of devices`,
		"devices: {PGPU: a.com/b, VGPU: a.com/b}\n":                                "PGPU and VGPU are both a.com/b, whose devices would be sold twice",
	} {
		path := write(t, content)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: got %v, want %s", content, err, says)
		}
	}
}

func TestOnlyRootDecides(t *testing.T) {
	for _, mode := range []os.FileMode{0o666, 0o646, 0o664} {
		path := write(t, "")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod go-w "+path) {
			t.Errorf("%s: got %v", mode, err)
		}
	}
	path := write(t, "")
	if err := os.Chown(path, 1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chown root "+path) {
		t.Errorf("another's: got %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory is read")
	}
}

func TestSeccompProfile(t *testing.T) {
	profile := write(t, `{"defaultAction":"SCMP_ACT_ALLOW"}`)
	got, err := Load(write(t, "seccomp: "+profile))
	if err != nil || got.SeccompProfile != `{"defaultAction":"SCMP_ACT_ALLOW"}` {
		t.Errorf("got %q, %v", got.SeccompProfile, err)
	}
	if err := os.WriteFile(profile, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(write(t, "seccomp: "+profile)); err == nil || !strings.Contains(err.Error(), "no JSON") {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(profile, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(write(t, "seccomp: "+profile)); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("got %v", err)
	}
}

func TestNoFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "agent.yaml")); err == nil {
		t.Error("a file that was named and is not there is taken for one that says nothing")
	}
	if _, err := os.Stat(Path); err != nil {
		if got, err := Load(Path); err != nil || !reflect.DeepEqual(got, Default()) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}
