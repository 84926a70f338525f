package instance_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/instance"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

func small() agent.Spec {
	return agent.Spec{Name: "web", Hostname: "web", ProjectID: "a-project", ImageID: enginetest.ImageID, VCPUs: 2, MemoryMB: 512, RootGB: 5}
}

func TestConfinement(t *testing.T) {
	host := instance.Confinement(small())
	if host.Memory != 512<<20 || host.MemorySwap != host.Memory {
		t.Errorf("memory %d and with swap %d, want 512 MiB and no swap", host.Memory, host.MemorySwap)
	}
	if host.NanoCPUs != 2e9 {
		t.Errorf("got %d nano-CPUs, want a cap of 2 CPUs", host.NanoCPUs)
	}
	if host.RestartPolicy.Name != container.RestartPolicyDisabled {
		t.Errorf("got restart policy %q, but Nova decides what runs", host.RestartPolicy.Name)
	}
	if host.LogConfig.Config["max-size"] == "" || host.LogConfig.Config["max-file"] == "" {
		t.Errorf("got log configuration %v, want one that is bounded", host.LogConfig)
	}
}

// TestFlavorTooSmall: what Docker would refuse to make is the flavor's fault, not the image's.
func TestFlavorTooSmall(t *testing.T) {
	for memory, refused := range map[int64]bool{-1: true, 0: true, 1: true, 5: true, 6: false, 7: false} {
		spec := small()
		spec.MemoryMB = memory
		_, _, err := instance.ContainerFor(enginetest.ServerID, spec, enginetest.Loaded)
		if (err != nil) != refused {
			t.Errorf("a flavor of %d MiB: got %v", memory, err)
		}
		if err == nil {
			continue
		}
		if says := fmt.Sprintf("flavor has %d MiB of memory", memory); agent.CodeOf(err) != agent.UnusableFlavor ||
			!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "at least 6 MiB") {
			t.Errorf("a flavor of %d MiB: got %s: %v", memory, agent.CodeOf(err), err)
		}
	}
}

// TestHostname: Linux holds no more than 64 bytes of a hostname, and Nova allows a name with its domain since 2.94.
func TestHostname(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ hostname, neutrons, want, domain string }{
		{"web", "", "web", ""},
		{"web", "example.org", "web", "example.org"},
		{"web.example.com", "", "web", "example.com"},
		{"web.example.com", "example.org", "web", "example.com"},
		{"web.example.com.", "", "web", "example.com"},
		{"web.", "example.org", "web", "example.org"},
		{long + "b", "", long + "b", ""},
		{long + "bc", "", long + "b", ""},
		{long + "bc.example.com", "", long + "b", "example.com"},
		{long + "-c", "", long, ""},
		{long + "ü", "", long, ""},
		{".example.com", "", "", "example.com"},
		{"", "", "", ""},
	} {
		spec := small()
		spec.Hostname, spec.DNSDomain = c.hostname, c.neutrons
		config, _ := made(t, spec)
		if config.Hostname != c.want || config.Labels[naming.LabelDomain] != c.domain {
			t.Errorf("%s, in Neutron's domain %q: got %s and %q, want %s and %q",
				c.hostname, c.neutrons, config.Hostname, config.Labels[naming.LabelDomain], c.want, c.domain)
		}
	}
}

// TestHostnameWithItsDomain: the domain is where programs look for it.
func TestHostnameWithItsDomain(t *testing.T) {
	engine := withImage(t)
	wanted := small()
	wanted.Hostname = "web.example.com"
	if status, body := ask(t, engine, "PUT", agenttest.ServerPath, marshal(t, wanted)); status >= 300 {
		t.Fatal(status, body)
	}
	got, err := os.ReadFile(filepath.Join(engine.State, enginetest.ServerID, "resolv.conf"))
	if err != nil || string(got) != "search example.com\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestConfinementIsLeast lists what a container is never given, whatever the type of HostConfig grows to hold.
func TestConfinementIsLeast(t *testing.T) {
	want := container.HostConfig{Runtime: "ndock", NetworkMode: "none"}
	got := *instance.Confinement(small())
	got.RestartPolicy, got.LogConfig = container.RestartPolicy{}, container.LogConfig{}
	got.Memory, got.MemorySwap, got.NanoCPUs = 0, 0, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("beyond its limits a container gets %+v", got)
	}
}

func TestTenantDoesNotReachTheHost(t *testing.T) {
	hostile := small()
	hostile.Name = "--privileged"
	hostile.Hostname = "h; rm -rf /"
	hostile.ProjectID, hostile.UserID = "../..", "root"
	hostile.Metadata = map[string]string{
		"privileged": "true", "HostConfig": `{"Privileged":true}`, "Binds": "/:/host", "quota:cpu": "-1",
		"NetworkMode": "host", "security_opt": "seccomp=unconfined", "ndock.server": "another",
	}
	hostile.UserData = agenttest.UserData(`{"command":["sh"],"user":"0:0","workdir":"/proc/1/root","env":{"LD_PRELOAD":"/x.so"}}`)
	hostile.OSCommandLine = "--privileged --volume /:/host sh"

	config, host := made(t, hostile)
	_, harmless := made(t, small())
	if !reflect.DeepEqual(host, harmless) {
		t.Errorf("got %+v\nwant %+v", host, harmless)
	}
	if config.Labels[naming.LabelServer] != enginetest.ServerID {
		t.Errorf("got the label of server %q", config.Labels[naming.LabelServer])
	}
	if len(config.Volumes) != 0 || len(config.ExposedPorts) != 0 || config.Healthcheck != nil {
		t.Errorf("got %+v", config)
	}
}

func made(t *testing.T, spec agent.Spec) (*container.Config, *container.HostConfig) {
	t.Helper()
	config, host, err := instance.ContainerFor(enginetest.ServerID, spec, enginetest.Loaded)
	if err != nil {
		t.Fatal(err)
	}
	return config, host
}

func TestContainerFor(t *testing.T) {
	spec := small()
	spec.Metadata = map[string]string{"COLOUR": "blue"}
	spec.UserData = agenttest.UserData(`{"command":["a","b c"],"entrypoint":["e"],"env":{"SIZE":"2"},"workdir":"/w","user":"1000"}`)
	got, _ := made(t, spec)
	want := &container.Config{
		Image: enginetest.Loaded, Hostname: "web", Tty: true, OpenStdin: true,
		Env: []string{"COLOUR=blue", "SIZE=2"}, Cmd: []string{"a", "b c"}, Entrypoint: []string{"e"},
		WorkingDir: "/w", User: "1000",
		Labels: map[string]string{naming.LabelServer: enginetest.ServerID, naming.LabelName: "web", naming.LabelImage: enginetest.ImageID, naming.LabelProject: "a-project", naming.LabelDomain: ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestContainerWithoutTTY(t *testing.T) {
	spec := small()
	spec.UserData = agenttest.UserData(`{"tty":false}`)
	if got, _ := made(t, spec); got.Tty || got.OpenStdin {
		t.Errorf("got a terminal: %+v", got)
	}
}

// TestImageIsNotNamed: the image that runs is the one that Docker computed an id for, not one by a tenant's name.
func TestImageIsNotNamed(t *testing.T) {
	if got, _ := made(t, small()); got.Image != enginetest.Loaded {
		t.Errorf("got image %q", got.Image)
	}
}

func TestContainerForBadUserData(t *testing.T) {
	spec := small()
	spec.UserData = agenttest.UserData("{")
	_, host, err := instance.ContainerFor(enginetest.ServerID, spec, enginetest.Loaded)
	if err == nil || host != nil || !strings.Contains(err.Error(), "#ndock") {
		t.Errorf("got %v, %v", host, err)
	}
}

func FuzzContainerFor(f *testing.F) {
	f.Add([]byte("#ndock\n{\"command\":[\"a\"],\"env\":{\"A\":\"B\"}}"), "sleep 60")
	f.Add([]byte("#!/bin/sh\n"), `sh -c "echo 'a'"`)
	f.Add([]byte("#ndock\r\n[]"), "`(;&|<>)")
	f.Add([]byte("\xef\xbb\xbf\n#ndock\n{}"), "")
	f.Fuzz(func(t *testing.T, data []byte, line string) {
		spec := small()
		spec.UserData, spec.OSCommandLine = base64.StdEncoding.EncodeToString(data), line
		_, host, err := instance.ContainerFor(enginetest.ServerID, spec, enginetest.Loaded)
		if err != nil {
			if code := agent.CodeOf(err); code != agent.UnusableImage {
				t.Errorf("the tenant's mistake is reported as %s: %v", code, err)
			}
			return
		}
		if _, harmless := made(t, small()); !reflect.DeepEqual(host, harmless) {
			t.Errorf("got %+v", host)
		}
	})
}
