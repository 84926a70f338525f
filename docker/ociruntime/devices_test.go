package ociruntime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// container is a part of what Docker writes for a container whose image names variables, mounts and a user.
const container = `{"process":{"user":{"uid":7,"gid":8,"additionalGids":[9]},"env":["PATH=/bin","CARD=tenant"],"rlimits":[{"hard":18446744073709551615}]},` +
	`"mounts":[{"destination":"/proc","type":"proc"},{"destination":"/a/b","source":"/tenant"},{"destination":"/opt","source":"/volume"}],` +
	`"linux":{"devices":[{"path":"/dev/card","type":"c","major":1,"minor":1}],"resources":{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":64}}}}`

// devices is what the agent has written of a container's devices.
const devices = `{"ociVersion":"","process":{"user":{"uid":0,"gid":0,"additionalGids":[44]},"cwd":"","env":["CARD=0","NEW=1"]},` +
	`"mounts":[{"destination":"/opt/lib/x","source":"/x"},{"destination":"/a/b","source":"/ours"}],"hooks":{"createContainer":[{"path":"/bin/x"}]},` +
	`"linux":{"devices":[{"path":"/dev/card","type":"c","major":195,"minor":0},{"path":"/dev/ctl","type":"c","major":195,"minor":255,"uid":0,"gid":0}],` +
	`"resources":{"devices":[{"allow":true,"type":"c","major":195,"minor":0,"access":"rw"}]}}}`

func wrote(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, InjectionFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func parse(t *testing.T, text string) (config object) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestInject(t *testing.T) {
	config := parse(t, container)
	if err := inject(config, wrote(t, `{"container":"c1","config":`+devices+`}`), "c1"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"process": `{"user":{"uid":7,"gid":8,"additionalGids":[9,44]},"env":["PATH=/bin","CARD=0","NEW=1"],"rlimits":[{"hard":18446744073709551615}]}`,
		"mounts": `[{"destination":"/proc","type":"proc"},{"destination":"/opt","source":"/volume"},{"destination":"/a/b","source":"/ours"},` +
			`{"destination":"/opt/lib/x","source":"/x"}]`,
		"hooks": `{"createContainer":[{"path":"/bin/x"}]}`,
		"linux": `{"devices":[{"path":"/dev/card","type":"c","major":195,"minor":0,"uid":7,"gid":8},{"path":"/dev/ctl","type":"c","major":195,"minor":255,"uid":0,"gid":0}],` +
			`"resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":195,"minor":0,"access":"rw"}],"memory":{"limit":64}}}`,
	} {
		var got, wanted any
		if err := json.Unmarshal(config[key], &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s: got %s\nwant %s", key, config[key], want)
		}
	}
	if !strings.Contains(string(config["process"]), "18446744073709551615") {
		t.Errorf("a number was rounded: %s", config["process"])
	}
}

// TestInjectNothing: a server without devices keeps its configuration.
func TestInjectNothing(t *testing.T) {
	config := parse(t, container)
	if err := inject(config, t.TempDir(), "c1"); err != nil || !reflect.DeepEqual(config, parse(t, container)) {
		t.Errorf("got %s, %v", config, err)
	}
}

// TestInjectRefuses what is about another container of the server, as where somebody starts its backup, and what is damaged.
func TestInjectRefuses(t *testing.T) {
	for text, says := range map[string]string{
		`{"container":"c2","config":` + devices + `}`: "injection.json is about container c2",
		`{}`: "injection.json is about container ",
		`{`:  "read what its devices need: ",
		`{"container":"c1","config":{"mounts":{}}}`:                "read what its devices need: ",
		`{"container":"c1","config":{"hooks":{"poststop":[]}}} x`:  "read what its devices need: ",
		`{"container":"c1","config":{"process":{"env":"CARD=1"}}}`: "read what its devices need: ",
	} {
		if err := inject(parse(t, container), wrote(t, text), "c1"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %s", text, err, says)
		}
	}
	for _, odd := range []string{`{"process":[]}`, `{"mounts":{}}`, `{"linux":{"devices":1}}`, `{"process":{"user":1}}`} {
		if err := inject(parse(t, odd), wrote(t, `{"container":"c1","config":`+devices+`}`), "c1"); err == nil {
			t.Errorf("%s is no configuration, and got no error", odd)
		}
	}
}

// TestDevicesOfAServer: what stands in a server's directory is given to its container, and the container's id is the last part of
// the directory of its names.
func TestDevicesOfAServer(t *testing.T) {
	dir, config := server(t)
	if err := os.WriteFile(filepath.Join(dir, InjectionFile), []byte(`{"container":"c1","config":`+devices+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := edit([]byte(config), "ndock", "/names/c1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"path":"/dev/card"`, `"CARD=0"`, `"createContainer":[{"path":"/bin/x"}]`, `"node","hook","join"`, `"source":"/names/c1/resolv.conf"`} {
		if !strings.Contains(string(got.config), want) {
			t.Errorf("it became %s, without %s", got.config, want)
		}
	}
	if _, err := edit([]byte(config), "ndock", "/names/c2"); err == nil {
		t.Error("another container of the server starts with them")
	}
}
