package ociruntime

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ndock/docker/network"
)

func TestBundleToCreate(t *testing.T) {
	for line, want := range map[string]string{
		"--root /r --log /l create --bundle /b --pid-file /p id":    "/b",
		"--root /r --log /l --systemd-cgroup create --bundle /b id": "/b",
		"--systemd-cgroup=true --root /r create --bundle /b id":     "/b",
		"create -b /b id":       "/b",
		"create --bundle=/b id": "/b",
		"create id":             ".",
		"--root /r start id":    "",
		"delete --force id":     "",
		"--version":             "",
		"":                      "",
	} {
		if got := bundleToCreate(strings.Fields(line)); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// server is the directory of one, and the configuration of its container, as Docker writes it.
func server(t *testing.T) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	if err := network.SetPorts(dir, nil); err != nil {
		t.Fatal(err)
	}
	return dir, `{"ociVersion":"1.0.2-dev","process":{"rlimits":[{"hard":18446744073709551615}]},"mounts":[{"destination":"/proc","source":"proc"},` +
		`{"destination":"/etc/resolv.conf","source":"` + dir + `/resolv.conf"}],"hooks":{"prestart":[{"path":"/proc/1/exe"}]}}`
}

func TestHooks(t *testing.T) {
	ownMounts(t)
	dir, config := server(t)
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	names := filepath.Join(t.TempDir(), "names")
	if _, err := prepare(file, "/usr/local/bin/ndock", names); err != nil {
		t.Fatal(err)
	}
	if err := ReleaseNames(names); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Process json.RawMessage
		Hooks   map[string][]hook
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for moment, verb := range map[string]string{"createRuntime": "join", "poststop": "leave"} {
		hooks := got.Hooks[moment]
		if len(hooks) != 1 || hooks[0].Path != "/usr/local/bin/ndock" || strings.Join(hooks[0].Args, " ") != "ndock node hook "+verb+" "+dir {
			t.Errorf("%s: got %+v", moment, hooks)
		}
	}
	if len(got.Hooks["prestart"]) != 1 || string(got.Process) != `{"rlimits":[{"hard":18446744073709551615}]}` {
		t.Errorf("it became %s", text)
	}
}

// TestWhatIsNoServers: another's container is runc's business alone and left as it is, and what is no configuration is refused.
func TestWhatIsNoServers(t *testing.T) {
	_, config := server(t)
	for text, refused := range map[string]bool{
		`{}`: false, `{"mounts":[]}`: false,
		strings.ReplaceAll(config, "/etc/resolv.conf", "/etc/other"):                                          false,
		strings.ReplaceAll(config, "/resolv.conf\"}", "/other\"}"):                                            false,
		`{"mounts":[{"destination":"/etc/resolv.conf","source":"/var/lib/docker/containers/x/resolv.conf"}]}`: false,
		"": true, "[]": true, `{"mounts":1}`: true,
		strings.ReplaceAll(config, `{"prestart":[`, `[{"x":[`): true,
	} {
		got, err := edit([]byte(text), "ndock", "/names")
		if refused != (err != nil) || !refused && (string(got.config) != text || got.names != nil) {
			t.Errorf("%s became %s, %v", text, got.config, err)
		}
	}
}

func TestHooksAreNotForPeople(t *testing.T) {
	if err := Join(t.TempDir(), State{}, network.Kernel{}); err == nil {
		t.Error("got no error")
	}
	if err := Leave(t.TempDir(), State{}); err == nil {
		t.Error("got no error")
	}
	if err := Leave(t.TempDir(), State{ID: "none"}); err != nil { // nothing is there, and so nothing to do
		t.Error(err)
	}
}

// TestJoinWithoutIPv6: a server whose host was booted with ipv6.disable=1 does not start without any of a port's addresses,
// and runc has the reason.
func TestJoinWithoutIPv6(t *testing.T) {
	dir := t.TempDir()
	address := netip.MustParsePrefix("fd00::5/64")
	port := network.Port{ID: "3f6a0b1c-d2e4-4f56-8a78-9b0c1d2e3f40", Subnets: []network.Subnet{{Addresses: []netip.Prefix{address}}}}
	if err := network.SetPorts(dir, []network.Port{port}); err != nil {
		t.Fatal(err)
	}
	err := Join(dir, State{ID: "c", PID: 1}, network.Kernel{NoIPv6: true})
	if err == nil || !strings.Contains(err.Error(), "has IPv6 addresses alone (fd00::5), and this host's kernel has no IPv6") {
		t.Errorf("got %v", err)
	}
}
