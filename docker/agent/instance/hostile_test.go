package instance_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ndock/docker/agent"
	"ndock/docker/agent/agenttest"
)

// TestNothingOfATenantLeavesTheContainer: whatever it says where it can say something, it gets what all get. Image
// properties other than os_command_line do not even come as far as the agent: see the driver's own tests.
func TestNothingOfATenantLeavesTheContainer(t *testing.T) {
	for name, say := range map[string]func(spec *agent.Spec){
		"a command line of docker's": func(s *agent.Spec) { s.OSCommandLine = "--privileged --pid=host -v /:/host --device /dev/sda sh" },
		"a command line of a shell's": func(s *agent.Spec) {
			s.OSCommandLine = "sh -c 'mount --bind / /mnt'; docker run --privileged x | $(id) `id` > /etc/passwd"
		},
		"metadata of a linker's": func(s *agent.Spec) {
			s.Metadata = map[string]string{"PATH": "/evil", "LD_PRELOAD": "/evil.so", "LD_LIBRARY_PATH": "/", "container": "host"}
		},
		"metadata of Docker's": func(s *agent.Spec) {
			s.Metadata = map[string]string{"HostConfig": `{"Privileged":true,"Binds":["/:/host"],"PidMode":"host"}`, "DOCKER_HOST": "unix:///run/docker.sock"}
		},
		"metadata of a flavor's": func(s *agent.Spec) {
			s.Metadata = map[string]string{"quota:cpu_quota": "-1", "ndock:shm_size_mb": "100000", "ndock:pids_limit": "1000000", "hw:cpu_policy": "dedicated"}
		},
		"metadata of the operator's": func(s *agent.Spec) {
			s.Metadata = map[string]string{"no_new_privileges": "false", "seccomp": "unconfined", "cap_add": "[SYS_ADMIN]"}
		},
		"a user and a directory of the host's": func(s *agent.Spec) {
			s.UserData = agenttest.UserData(`{"user":"0:0","workdir":"/proc/1/root","command":["/proc/self/exe"],"entrypoint":["nsenter","-t","1"]}`)
		},
		"an environment": func(s *agent.Spec) { s.UserData = agenttest.UserData(`{"env":{"LD_PRELOAD":"/x.so","PATH":""}}`) },
		"names": func(s *agent.Spec) {
			s.Name, s.Hostname, s.ProjectID, s.UserID = "--privileged", "h --pid=host", "../../..", "root"
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := small()
			say(&spec)
			wantHost(t, created(t, withImage(t), spec), confined())
		})
	}
}

// TestUserDataHasNoWordForMore: what Docker calls it, or Kubernetes, or who guesses, is refused, not passed over.
func TestUserDataHasNoWordForMore(t *testing.T) {
	for _, json := range []string{
		`{"privileged":true}`, `{"Privileged":true}`, `{"HostConfig":{"Privileged":true}}`, `{"binds":["/:/host"]}`,
		`{"volumes":{"/":{}}}`, `{"mounts":[{"source":"/","target":"/host"}]}`, `{"devices":["/dev/sda"]}`,
		`{"cap_add":["SYS_ADMIN"]}`, `{"capAdd":["ALL"]}`, `{"security_opt":["seccomp=unconfined"]}`, `{"pid":"host"}`,
		`{"network_mode":"host"}`, `{"ipc":"host"}`, `{"userns":"host"}`, `{"cgroup_parent":"/"}`, `{"sysctls":{"kernel.core_pattern":"|/x"}}`,
		`{"runtime":"x"}`, `{"no_new_privileges":false}`, `{"ulimits":{}}`, `{"shm_size":1}`, `{"labels":{"ndock.server":"x"}}`,
		`{"command":["sh"],"privileged":true}`, `{"extra_specs":{"ndock:pids_limit":"1"}}`, `{"dns":["1.1.1.1"]}`, `{"image":"other"}`,
	} {
		refuses(t, func(spec *agent.Spec) { spec.UserData = agenttest.UserData(json) }, "unknown field")
	}
}

func refuses(t *testing.T, say func(spec *agent.Spec), why string) {
	t.Helper()
	spec := small()
	say(&spec)
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	engine := withImage(t)
	status, body := ask(t, engine, "PUT", agenttest.ServerPath, string(text))
	agenttest.WantFault(t, status, body, 422, agent.UnusableImage)
	if len(engine.Containers) > 0 || !strings.Contains(body, why) {
		t.Errorf("%s: got %s, and containers %v", spec.UserData, body, engine.Containers)
	}
}
