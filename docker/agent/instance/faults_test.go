package instance

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// faultOf is what the caller of the agent hears of an error.
func faultOf(err error) *agent.Fault {
	return &agent.Fault{Code: agent.CodeOf(err), Message: err.Error()}
}

// TestWhoseFaultAStartIs: runc says the same words before what is wrong with an image, with a flavor and with a host.
func TestWhoseFaultAStartIs(t *testing.T) {
	const (
		runc11 = "Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
		runc10 = "Error response from daemon: OCI runtime create failed: container_linux.go:380: starting container process caused: "
		begin  = "error during container init: "
	)
	for name, test := range map[string]struct{ text, code, says string }{
		"no program":                              {runc10 + `exec: "nginxx": executable file not found in $PATH: unknown`, agent.UnusableImage, `its process does not start: exec: "nginxx": executable file not found in $PATH`},
		"no directory":                            {runc11 + begin + `chdir to cwd ("/srv") set in config.json failed: no such file or directory: unknown`, agent.UnusableImage, "chdir to cwd"},
		"no program of such a name":               {runc11 + `exec: "cgroup apparmor: no space left on device": executable file not found in $PATH: unknown`, agent.UnusableImage, "executable file not found"},
		"of another architecture":                 {runc11 + begin + "exec /bin/hook #1: exec format error: unknown", agent.UnusableImage, "exec format error"},
		"a file where a mount is":                 {runc11 + begin + `error mounting "/run/ndock/names/c/hosts" to rootfs at "/etc/hosts": not a directory: unknown`, agent.UnusableImage, "/etc/hosts"},
		"too little memory":                       {runc11 + "container init was OOM-killed (memory limit too low?): unknown", agent.UnusableFlavor, "the flavor has too little memory"},
		"too little, of old":                      {runc10 + "container init was OOM-killed (memory limit too low?): unknown", agent.UnusableFlavor, "the flavor has too little memory"},
		"a limit that is too low":                 {runc11 + begin + `error setting cgroup config for procHooks process: failed to write "6291456": write /sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes: device or resource busy: unknown`, agent.Failed, "device or resource busy"},
		"no room for a cgroup":                    {runc11 + "unable to apply cgroup configuration: mkdir /sys/fs/cgroup/memory/docker/c: no space left on device: unknown", agent.Failed, "no space left on device"},
		"no keyring":                              {runc11 + begin + "unable to join session keyring: unable to create session key: disk quota exceeded: unknown", agent.Failed, "disk quota exceeded"},
		"no user namespaces, of old":              {runc10 + "process_linux.go:247: running exec setns process for init caused: exit status 34: unknown", agent.Failed, "exit status 34"},
		"no user namespaces":                      {runc11 + "can't get final child's PID from pipe: EOF: unknown", agent.Failed, "final child's PID"},
		"a setting that the kernel does not have": {runc11 + begin + "open /proc/sys/net/ipv4/ip_unprivileged_port_start: no such file or directory: unknown", agent.Failed, "ip_unprivileged_port_start"},
		"AppArmor":                                {runc11 + begin + "unable to apply apparmor profile: apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: no such file or directory: unknown", agent.Failed, "apparmor"},
		"a port, said by runc 1.1":                {runc11 + begin + "error running hook #0: error running hook: exit status 1, stdout: , stderr: ndock: set up port 3f6a0b1c in the container: add address: permission denied\n: unknown", agent.Failed, "plug it in: set up port 3f6a0b1c in the container: add address: permission denied"},
		"a port, said by runc 1.2":                {runc11 + begin + "error running createRuntime hook #0: exit status 1, stdout: , stderr: ndock: port 3f6a0b1c has IPv6 addresses alone\nhint: none: unknown", agent.Failed, "plug it in: port 3f6a0b1c has IPv6 addresses alone"},
		"a hook that took too long":               {runc11 + begin + "error running createRuntime hook #0: hook ran past specified timeout of 45.0s: unknown", agent.Failed, "past specified timeout"},
		"a mount that the kernel refuses":         {runc11 + begin + `error mounting "proc" to rootfs at "/proc": mount src=proc, dst=/proc, dstFd=/proc/thread-self/fd/8, flags=0xe: operation not permitted: unknown`, agent.Failed, "operation not permitted"},
		"no cgroups to mount":                     {runc11 + begin + `error mounting "cgroup" to rootfs at "/sys/fs/cgroup": mount cgroup:/sys/fs/cgroup/openrc (via /proc/self/fd/6), flags: 0xf, data: openrc: invalid argument: unknown`, agent.Failed, "openrc"},
		"a setting, said by runc 1.3":             {runc11 + begin + "open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied: unknown", agent.Failed, "ip_unprivileged_port_start"},
		"no keyring, of old":                      {runc10 + "process_linux.go:545: container init caused: join session keyring: create session key: disk quota exceeded: unknown", agent.Failed, "disk quota exceeded"},
		"no room for a cgroup, of old":            {runc10 + "process_linux.go:508: applying cgroup configuration for process caused: mkdir /sys/fs/cgroup/memory/docker/c: cannot allocate memory: unknown", agent.Failed, "cannot allocate memory"},
		"a port, said by runc 1.0":                {runc10 + "process_linux.go:545: container init caused: Running hook #0:: error running hook: exit status 1, stdout: , stderr: ndock: port 3f6a0b1c has IPv6 addresses alone\n: unknown", agent.Failed, "plug it in: port 3f6a0b1c has IPv6 addresses alone"},
		"no room for what is mounted":             {runc11 + begin + `error mounting "proc" to rootfs at "/proc": mkdir /var/lib/docker/overlay2/x/merged/proc: no space left on device: unknown`, agent.Failed, "no space left on device"},
	} {
		for _, kind := range []error{nil, errdefs.ErrInvalidArgument} { // as Docker calls some of them, by their words
			got := faultOf(classify(said{test.text, kind}))
			if got.Code != test.code || !strings.Contains(got.Message, test.says) {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	}
}

// TestTenantsWordsDoNotDecide: what fails on each host must end a build, or Nova tries host after host. So no name of the
// tenant's may look like what a host says, wherever it stands in a text.
func TestTenantsWordsDoNotDecide(t *testing.T) {
	const (
		runc11 = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: "
		runc10 = "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: process_linux.go:545: container init caused: "
		volume = `mounting "/var/lib/docker/volumes/0123/_data" to rootfs at `
	)
	for name, text := range map[string]string{
		"a volume within /proc":              runc11 + "error " + volume + `"/proc/sys/kernel": "/var/lib/docker/overlay2/x/merged/proc/sys/kernel" cannot be mounted because it is inside /proc: unknown`,
		"a volume in a file in /proc":        runc11 + "error " + volume + `"/proc/cgroups": "/var/lib/docker/overlay2/x/merged/proc/cgroups" cannot be mounted because it is inside /proc: unknown`,
		"a volume within /proc, of old":      runc10 + "rootfs_linux.go:76: " + volume + `"/proc/sys/kernel" caused: "/var/lib/docker/overlay2/x/merged/proc/sys/kernel" cannot be mounted because it is inside /proc: unknown`,
		"a volume of a host's name":          runc11 + "error " + volume + `"/x: no space left on device/seccomp": create mountpoint for /x: no space left on device/seccomp mount: mkdir /x: no space left on device/seccomp: not a directory: unknown`,
		"what says to mount what Docker has": runc11 + "error " + volume + `"/mounting \"cgroup\" to rootfs at \"/x\": mount ": not a directory: unknown`,
		"a link where Docker mounts":         runc11 + `error mounting "cgroup" to rootfs at "/sys/fs/cgroup": mkdir /var/lib/docker/overlay2/x/merged/sys/fs/cgroup: not a directory: unknown`,
		"a directory":                        runc11 + `chdir to cwd ("/srv/cgroup") set in config.json failed: permission denied: unknown`,
		"a directory, of old":                runc10 + `chdir to cwd ("/srv/cgroup") set in config.json failed: permission denied: unknown`,
		"a program, of old":                  runc10 + `exec: "/bin/seccomp": permission denied: unknown`,
		"a directory that is no path":        "the working directory 'unable to start container process: cgroup apparmor' is invalid, it needs to be an absolute path",
		"a user":                             "unable to find user cgroup: no space left on device: no matching entries in passwd file",
		"a user of start's words":            "unable to find user starting container process caused: cgroup: no matching entries in passwd file",
		"a group":                            "unable to find group nope: no matching entries in group file",
		"a user's number":                    "uids and gids must be in range 0-2147483647",
		"a working directory in a file":      "Cannot mkdir: /etc/passwd is not a directory",
		"one below a file":                   "mkdir /var/lib/docker/overlay2/x/merged/etc/passwd/x: not a directory",
		"one whose name is too long":         "mkdir /var/lib/docker/overlay2/x/merged/xxx: file name too long",
		"one of two lines":                   "mkdir /var/lib/docker/overlay2/x/merged/a\nb: not a directory",
		"a link to itself":                   "EvalSymlinksInScope: too many links in /var/lib/docker/overlay2/x/merged/cgroup",
		"a volume over a file":               "cannot mount volume over existing file, file exists /var/lib/docker/overlay2/x/merged/cgroup",
		"a file over a directory":            `cannot overwrite directory "/etc" with non-directory "/"`,
	} {
		for _, kind := range []error{errdefs.ErrInternal, errdefs.ErrInvalidArgument} {
			if kind == errdefs.ErrInternal && strings.HasPrefix(text, "the working") {
				continue // which Docker calls invalid
			}
			if got := faultOf(classify(said{"Error response from daemon: " + text, kind})); got.Code != agent.UnusableImage {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	}
}

// TestWhoseFaultACreationIs: what Docker calls invalid may be so on this host alone.
func TestWhoseFaultACreationIs(t *testing.T) {
	for text, code := range map[string]string{
		"no command specified":                 agent.UnusableImage,
		"invalid environment variable: =x":     agent.UnusableImage,
		"unable to find user nobodyy: no such": agent.UnusableImage,
		"the working directory 'runtime name' is invalid, it needs to be an absolute path":                                agent.UnusableImage,
		"unknown or invalid runtime name: ndock":                                                                          agent.Failed,
		"Unknown runtime specified ndock":                                                                                 agent.Failed,
		"NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted":         agent.Failed,
		"Range of CPUs is from 0.01 to 8.00, as there are only 8 CPUs available":                                          agent.Failed,
		"Requested CPUs are not available - requested 9, available: 0-7":                                                  agent.Failed,
		"Requested memory nodes are not available - requested 1, available: 0":                                            agent.Failed,
		`invalid mount config for type "bind": bind source path does not exist: /var/lib/ndock/servers/x/hosts`:           agent.Failed,
		"Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.":        agent.Failed,
		"--storage-opt is supported only for overlay over xfs with 'pquota' mount option":                                 agent.Failed,
		`AppArmor enabled on system but the docker-default profile could not be loaded: running "apparmor_parser" failed`: agent.Failed,
	} {
		if got := faultOf(classify(said{"Error response from daemon: " + text, errdefs.ErrInvalidArgument})); got.Code != code || !strings.Contains(got.Message, text) {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}

// said is an error of Docker's of a kind.
type said struct {
	text string
	kind error
}

func (s said) Error() string { return s.text }

func (s said) Unwrap() error { return s.kind }

func TestClassify(t *testing.T) {
	for text, want := range map[string]string{
		"Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: " +
			`runc create failed: unable to start container process: exec: "nginxx": executable file not found in $PATH: unknown`: `its process does not start: exec: "nginxx": executable file not found in $PATH`,
		"Error response from daemon: unable to find user nobodyy: no matching entries in passwd file": "unable to find user nobodyy: no matching entries in passwd file",
		"Error response from daemon: no space left on device":                                         "",
		"Cannot connect to the Docker daemon":                                                         "",
	} {
		err := errors.New(text)
		got := classify(err)
		if want == "" {
			if got != err {
				t.Errorf("%s: got %v, want it unchanged", text, got)
			}
			continue
		}
		if faultOf(got).Code != agent.UnusableImage || got.Error() != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if got := classify(fmt.Errorf("invalid reference: %w", errdefs.ErrInvalidArgument)); faultOf(got).Code != agent.UnusableImage {
		t.Errorf("got %v for what Docker calls invalid", got)
	}
}

// What a tenant has runc say is no word of the engine's about its API, also when it has become a fault of the tenant's.
func TestATenantsWordsAreNoAPIChange(t *testing.T) {
	text := `Error response from daemon: failed to create task: exec: "client version 1.51 is too new. Maximum supported API version is 1.41": executable file not found`
	if engine.IsAPIChange(classify(fmt.Errorf("start: %w", errors.New(text)))) {
		t.Errorf("%s: as a tenant's fault it counts", text)
	}
}

// TestWhoseFaultAnotherRuntimesIs: crun and gVisor say it in words of their own.
func TestWhoseFaultAnotherRuntimesIs(t *testing.T) {
	const create = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
	for _, c := range []struct {
		text       string
		kind       error
		code, says string
	}{
		{
			create + "unable to retrieve OCI runtime error (open /x/log.json: no such file or directory): /usr/libexec/ndock/ndock-runtime did not terminate successfully: exit status 1: ndock: /usr/bin/x did not end within 30s, and was killed: unknown",
			errdefs.ErrInvalidArgument, agent.Failed, "its runtime does not start it: /usr/bin/x did not end within 30s, and was killed",
		},
		{
			create + "creating container: failure executing hook \"/usr/libexec/ndock/ndock-runtime\", err: exit status 1\nstdout: \nstderr: ndock: plug port x: no\n: unknown",
			errdefs.ErrInternal, agent.Failed, "its runtime does not start it: plug port x: no",
		},
		{"OCI runtime start failed: starting container: setting up network: no: unknown", errdefs.ErrInternal, agent.Failed, "setting up network: no"},
		{create + "executable file `creating container: cannot` not found: No such file or directory: unknown", errdefs.ErrInvalidArgument, agent.UnusableImage, "executable file"},
		{"OCI runtime start failed: starting container: starting root container: failed to load /no: no such file or directory: unknown", errdefs.ErrInvalidArgument, agent.UnusableImage, "failed to load /no"},
	} {
		if got := faultOf(classify(said{"Error response from daemon: " + c.text, c.kind})); got.Code != c.code || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: got %+v", c.text, got)
		}
	}
}
