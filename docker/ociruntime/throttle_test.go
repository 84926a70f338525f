package ociruntime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEndingContainer(t *testing.T) {
	for line, want := range map[string]string{
		"--root /r --log /l kill id 9":                "/r/id",
		"--root=/r kill --all id SIGKILL":             "/r/id",
		"--root /run/kill --log /l delete --force id": "/run/kill/id",
		"--root /r --systemd-cgroup kill id KILL":     "/r/id",
		"delete id":                       "/run/runc/id",
		"delete ../id":                    "/run/runc/id",
		"--root /r kill id 15":            "", // the process may answer, in its own time
		"--root /r kill id":               "",
		"--root /r kill":                  "",
		"--root /r delete":                "",
		"--root /r create --bundle /b id": "",
		"--root /r exec --process /tmp/process.json id 9": "",
		"--root":    "",
		"--version": "",
		"":          "",
	} {
		if got := endingContainer(strings.Fields(line)); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// runcs is the directory that runc has of a container, with the files of its cgroup as they are with this version of cgroups.
func runcs(t *testing.T, controller string, files map[string]string) (dir, cgroup string) {
	t.Helper()
	dir, cgroup = t.TempDir(), t.TempDir()
	state := `{"id":"c","init_process_pid":7,"cgroup_paths":{"pids":"/none","` + controller + `":"` + cgroup + `"}}`
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(cgroup, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, cgroup
}

// TestUnthrottle: a server's limits on disks end before it does, whichever cgroups the host has.
func TestUnthrottle(t *testing.T) {
	const none = "rbps=max wbps=max riops=max wiops=max\n"
	for name, c := range map[string]struct {
		controller  string
		files, want map[string]string
	}{
		"v1": {
			"blkio",
			map[string]string{
				"blkio.throttle.read_bps_device": "8:0 1048576\n", "blkio.throttle.write_bps_device": "8:0 1048576\n254:16 1\n",
				"blkio.throttle.read_iops_device": "", "blkio.throttle.write_iops_device": "8:0 100\n", "blkio.weight": "500\n",
			},
			map[string]string{
				"blkio.throttle.read_bps_device": "8:0 0\n", "blkio.throttle.write_bps_device": "8:0 0\n254:16 0\n",
				"blkio.throttle.read_iops_device": "", "blkio.throttle.write_iops_device": "8:0 0\n", "blkio.weight": "500\n",
			},
		},
		"v2": {
			"",
			map[string]string{"io.max": "8:0 rbps=max wbps=1048576 riops=max wiops=max\n254:16 rbps=1 wbps=max riops=9 wiops=9\n", "memory.max": "67108864\n"},
			map[string]string{"io.max": "8:0 " + none + "254:16 " + none, "memory.max": "67108864\n"},
		},
		"v2 without limits":  {"", map[string]string{"io.max": ""}, map[string]string{"io.max": ""}},
		"v2 without control": {"", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir, cgroup := runcs(t, c.controller, c.files)
			if err := unthrottle(dir); err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				if got, err := os.ReadFile(filepath.Join(cgroup, name)); err != nil || string(got) != want {
					t.Errorf("%s is %q, %v; want %q", name, got, err, want)
				}
			}
		})
	}
}

// TestUnthrottleWhatIsGone: a delete comes also for what has been deleted, or was never made.
func TestUnthrottleWhatIsGone(t *testing.T) {
	if err := unthrottle(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
	dir, cgroup := runcs(t, "", nil)
	if err := os.Remove(cgroup); err != nil {
		t.Fatal(err)
	}
	if err := unthrottle(dir); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unthrottle(dir); err == nil || !strings.Contains(err.Error(), "find the cgroups of container") {
		t.Errorf("got %v", err)
	}
}

// TestCgroupsOf reads what each program writes of its containers.
func TestCgroupsOf(t *testing.T) {
	for name, c := range map[string]struct {
		file, text, unified, blkio string // memory's is beside that of blkio
		pid                        int
	}{
		"runc, v1":        {"ID/state.json", `{"init_process_pid":7,"cgroup_paths":{"blkio":"/sys/fs/cgroup/blkio/docker/ID","memory":"/sys/fs/cgroup/memory/docker/ID"}}`, "", "/sys/fs/cgroup/blkio/docker/ID", 7},
		"runc, v2":        {"ID/state.json", `{"init_process_pid":8,"cgroup_paths":{"":"/sys/fs/cgroup/docker/ID"}}`, "/sys/fs/cgroup/docker/ID", "", 8},
		"crun":            {"ID/status", `{"pid":8484,"cgroup-path":"\/docker\/ID","scope":""}`, "/root/docker/ID", "/root/blkio/docker/ID", 8484},
		"gVisor, v1":      {"ID_sandbox:ID.state", `{"sandbox":{"pid":1,"cgroup":{"cgroupv1":{"name":"/docker/ID","own":{"cpu":true}},"cgroupJSON":null}}}`, "", "/root/blkio/docker/ID", 1},
		"gVisor, v2":      {"ID_sandbox:ID.state", `{"sandbox":{"cgroup":{"cgroupv2":{"mountpoint":"/sys/fs/cgroup","path":"/docker/ID"}}}}`, "/sys/fs/cgroup/docker/ID", "", 0},
		"gVisor, systemd": {"ID_sandbox:ID.state", `{"sandbox":{"cgroup":{"cgroupsystemd":{"mountpoint":"/sys/fs/cgroup","path":"/s/ID","Name":"x"}}}}`, "/sys/fs/cgroup/s/ID", "", 0},
		"one without":     {"ID_sandbox:ID.state", `{"sandbox":{"cgroup":null}}`, "", "", 0},
		"no one's":        {"other", `{}`, "", "", 0},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, strings.ReplaceAll(c.file, "ID", "id"))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(c.text, "ID", "id")), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := cgroupsOf(filepath.Join(dir, "id"), "/root")
		replace := strings.NewReplacer("ID", "id").Replace
		blkio := replace(c.blkio)
		want := cgroups{replace(c.unified), blkio, strings.Replace(blkio, "/blkio/", "/memory/", 1), c.pid}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}
