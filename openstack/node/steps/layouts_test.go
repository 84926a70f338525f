package steps

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/layout/layouttest"
)

// What another file sets stops setup where Nova would take that, and only there: on Debian, whose script names its files, they
// beat the drop-ins; on RDO's distributions the drop-ins beat them.
func TestWhatOverridesTheDriver(t *testing.T) {
	const another, twice, ours = "[DEFAULT]\ncompute_driver = fake.FakeDriver\n", "[DEFAULT]\ncompute_driver = a\ncompute_driver = b\n", "[DEFAULT]\ncompute_driver = docker.DockerDriver\n"
	for name, test := range map[string]struct {
		rdo   bool
		files map[string]string
		want  string
	}{
		"a drop-in":          {false, map[string]string{"/etc/nova/nova.conf.d/10-local.conf": another}, ""},
		"a drop-in, twice":   {false, map[string]string{"/etc/nova/nova.conf.d/10-local.conf": twice}, ""},
		"one that is ours":   {false, map[string]string{"/etc/nova/nova-compute.conf.d/a.conf": ours}, ""},
		"one commented out":  {false, map[string]string{"/etc/nova/nova-compute.conf.d/a.conf": "[DEFAULT]\n# compute_driver = a\n"}, ""},
		"no .conf":           {false, map[string]string{"/etc/nova/nova-compute.conf.d/a.conf~": "[DEFAULT]\ncompute_driver = a\n"}, ""},
		"in nova.conf":       {false, map[string]string{"/etc/nova/nova.conf": "[DEFAULT]\ncompute_driver = a\nhost = node-1\n"}, ""},
		"thrice in the file": {false, map[string]string{"/etc/nova/nova-compute.conf": "[DEFAULT]\ncompute_driver = a\n[DEFAULT]\ncompute_driver = b\ncompute_driver = c\n"}, "/etc/nova/nova-compute.conf sets compute_driver in [DEFAULT] more than once, in lines 2, 4, 5"},

		"RDO, a drop-in for all":       {true, map[string]string{"/etc/nova/nova.conf.d/zz.conf": another}, ""},
		"RDO, a drop-in before ours":   {true, map[string]string{"/etc/nova/nova-compute.conf.d/local.conf": another}, ""},
		"RDO, a drop-in after ours":    {true, map[string]string{"/etc/nova/nova-compute.conf.d/zz.conf": another}, "/etc/nova/nova-compute.conf.d/zz.conf sets compute_driver = fake.FakeDriver, and Nova reads it after /etc/nova/nova-compute.conf.d/ndock.conf"},
		"RDO, one after that, as ours": {true, map[string]string{"/etc/nova/nova-compute.conf.d/zz.conf": ours}, ""},
		"RDO, a drop-in, twice":        {true, map[string]string{"/etc/nova/nova.conf.d/10-local.conf": twice}, "/etc/nova/nova.conf.d/10-local.conf sets compute_driver in [DEFAULT] more than once, in lines 2, 3"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			if test.rdo {
				f = rdo(t)
			}
			layouttest.Lay(t, f.root, test.files)
			before := f.tree()
			_, err := f.setup()
			if test.want == "" {
				f.must(err)
				return
			}
			if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), f.root, ""), "config: "+test.want) {
				t.Errorf("got %v", err)
			}
			if after := f.tree(); after != before || len(f.commands) > 0 {
				t.Errorf("ran %q; the tree is\n%s", f.commands, after)
			}
		})
	}
}

// On each layout setup works, and teardown restores the tree.
func TestSetupOnOtherLayouts(t *testing.T) {
	for name, test := range map[string]struct {
		tree     map[string]string
		virt     string
		python   string
		commands []string
		files    map[string]string // what is in them after setup
	}{
		"RDO": {layouttest.RDO, "/usr/lib/python3.9/site-packages/nova/virt", "/usr/bin/python3", []string{
			"systemctl restart --no-block openstack-nova-compute.service", "semodule -i ROOT/usr/share/ndock/ndock.cil",
		}, map[string]string{
			"/etc/nova/nova.conf":                                           "compute_driver=libvirt.LibvirtDriver\n",
			"/etc/nova/nova-compute.conf.d/ndock.conf":                      "[DEFAULT]\ncompute_driver = docker.DockerDriver\n",
			"/usr/lib/python3.9/site-packages/nova/virt/docker/__init__.py": marker,
			"/etc/systemd/system/ndock-agent.service":                       "Before=openstack-nova-compute.service\n",
			"/usr/share/ndock/ndock.cil":                                    "allow nova_t ndock_t",
		}},
		"DevStack": {layouttest.DevStack, "/opt/stack/nova/nova/virt", "/opt/stack/data/venv/bin/python3.12", []string{"systemctl restart --no-block devstack@n-cpu.service"}, map[string]string{
			"/etc/nova/nova-cpu.conf":                      "compute_driver = docker.DockerDriver\n",
			"/opt/stack/nova/nova/virt/docker/__init__.py": marker,
			"/etc/systemd/system/ndock-agent.service":      "ExecStart=/usr/local/bin/ndock node agent --user stack\n",
			"/opt/stack/devstack/local.conf":               "ADMIN_PASSWORD=secret\n" + ownBegin + "[[post-config|$NOVA_CPU_CONF]]\n[DEFAULT]\ncompute_driver = docker.DockerDriver\n",
		}},
		"Kolla": {layouttest.Kolla, "/var/lib/kolla/venv/lib/python3.12/site-packages/nova/virt", "docker", []string{"systemctl restart --no-block kolla-nova_compute-container.service"}, map[string]string{
			"/etc/kolla/nova-compute/nova.conf":                "compute_driver = docker.DockerDriver\n",
			"/etc/kolla/nova-compute/ndock-driver/__init__.py": marker,
			"/etc/kolla/nova-compute/config.json":              `{"source":"/var/lib/kolla/config_files/ndock-driver","dest":"/var/lib/kolla/venv/lib/python3.12/site-packages/nova/virt/docker","owner":"nova","perm":"0644","optional":true},`,
			"/etc/kolla/config/nova/nova-compute.conf":         "[DEFAULT]\ncompute_driver = docker.DockerDriver\n",
			"/etc/systemd/system/ndock-agent.service":          "node agent --user 42436\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakeOf(t, true, test.tree)
			f.virt = test.virt
			before := f.tree()
			said, err := f.setup()
			f.must(err)
			ran := strings.ReplaceAll(strings.Join(f.commands, "\n"), f.root, "ROOT")
			for _, command := range test.commands {
				if !strings.Contains(ran, command) {
					t.Errorf("did not run %s, but\n%s", command, ran)
				}
			}
			for path, want := range test.files {
				if content, err := os.ReadFile(f.path(path)); err != nil || !strings.Contains(string(content), want) {
					t.Errorf("%s is %s, %v; said\n%s", path, content, err, said)
				}
			}
			if f.asked != test.python {
				t.Errorf("asked %s", f.asked)
			}
			if got := f.plan(); got != "" {
				t.Errorf("a second run would\n%s", got)
			}
			_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
			f.must(err)
			if after := f.tree(); after != before {
				t.Errorf("the tree was\n%s\nand is\n%s", before, after)
			}
			if len(f.modules) > 0 {
				t.Errorf("SELinux has %v", f.modules)
			}
		})
	}
}

// TestAnUpgradeOnKolla restarts the container, which has copied the driver of before.
func TestAnUpgradeOnKolla(t *testing.T) {
	f := fakeOf(t, true, layouttest.Kolla)
	_, err := f.setup()
	f.must(err)
	f.put("/etc/kolla/nova-compute/ndock-driver/driver.py", "old", 0o644)
	f.process(f.pid("kolla-nova_compute-container"), 0) // it has run for long
	f.commands = nil
	_, err = f.setup()
	f.must(err)
	if ran := strings.Join(f.commands, "\n"); ran != "systemctl restart --no-block kolla-nova_compute-container.service" {
		t.Errorf("ran %s", ran)
	}
}

// TestKollaMountsTheDriver: a container that has the driver mounted copies none, and would not start if it tried.
func TestKollaMountsTheDriver(t *testing.T) {
	const config = "/etc/kolla/nova-compute/config.json"
	f := fakeOf(t, true, layouttest.Kolla)
	f.mounts = []string{"/run", f.virt + "/docker"}
	before, err := os.ReadFile(f.path(config))
	f.must(err)
	_, err = f.setup()
	f.must(err)
	if after, err := os.ReadFile(f.path(config)); err != nil || !bytes.Equal(after, before) {
		t.Errorf("it is %s, %v", after, err)
	}
	f.put(config, strings.Replace(string(before), `"config_files": [`, `"config_files": [
        {"source": "/var/lib/kolla/config_files/ndock-driver", "dest": "`+f.virt+`/docker", "owner": "nova", "perm": "0644", "optional": true},`, 1), 0o660)
	if plan := f.plan(); !strings.Contains(plan, "kolla: have the container mount /etc/kolla/nova-compute/ndock-driver and not copy it") {
		t.Errorf("the plan is\n%s", plan)
	}
	_, err = f.setup()
	f.must(err)
	if after, err := os.ReadFile(f.path(config)); err != nil || strings.Contains(string(after), "ndock-driver") {
		t.Errorf("it is %s, %v", after, err)
	}
	f.mounts = []string{"/run", "/usr/lib/python3.11/site-packages/nova/virt/docker"} // of the Python before an upgrade
	_, err = f.setup()
	f.must(err)
	if after, err := os.ReadFile(f.path(config)); err != nil || !strings.Contains(string(after), `"dest":"`+f.virt+`/docker"`) {
		t.Errorf("it is %s, %v", after, err)
	}
}

// TestKollasContainerRestarts: without the driver that it is told to load the container ends again and again, and setup asks until
// it answers. One that is not there is not waited for.
func TestKollasContainerRestarts(t *testing.T) {
	f := fakeOf(t, true, layouttest.Kolla)
	f.restarts = 2
	if _, err := f.setup(); err == nil || f.restarts != 1 {
		t.Errorf("without a container it asked %d times, and said %v", 2-f.restarts, err)
	}
	f.mounts = []string{"/run"}
	f.restarts = 2
	_, err := f.setup()
	f.must(err)
	if plan := f.plan(); f.restarts != 0 || plan != "" {
		t.Errorf("after %d more restarts the plan is\n%s", f.restarts, plan)
	}
}

// Kolla's engine is not restarted: that would restart all of Kolla's containers.
func TestKollasEngineIsNotRestarted(t *testing.T) {
	f := fakeOf(t, true, layouttest.Kolla)
	f.put(dockerd.File, `{"bridge": "none", "iptables": false, "ip-forward": false}`, 0o600)
	f.info.Bridge, f.info.Running = false, 20
	_, err := f.setup()
	f.must(err)
	if ran := strings.Join(f.commands, "\n"); strings.Contains(ran, "docker.service") {
		t.Errorf("ran %s", ran)
	}
	if got := f.plan(); got != "" {
		t.Errorf("planned\n%s", got)
	}
}

// Edits since setup stay.
func TestTeardownKeepsWhatOthersWrote(t *testing.T) {
	f := fakeOf(t, true, layouttest.DevStack)
	f.virt = "/opt/stack/nova/nova/virt"
	_, err := f.setup()
	f.must(err)
	content, err := os.ReadFile(f.path("/opt/stack/devstack/local.conf"))
	f.must(err)
	f.put("/opt/stack/devstack/local.conf", "# more\n"+string(content)+"[[post-config|$NOVA_CONF]]\n", 0o640)
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	if got, _ := os.ReadFile(f.path("/opt/stack/devstack/local.conf")); string(got) != "# more\n[[local|localrc]]\nADMIN_PASSWORD=secret\n[[post-config|$NOVA_CONF]]\n" {
		t.Errorf("it is %s", got)
	}
}

func TestADriverThatDevStackIsToldOfAlready(t *testing.T) {
	f := fakeOf(t, true, layouttest.DevStack)
	f.virt = "/opt/stack/nova/nova/virt"
	f.put("/opt/stack/devstack/local.conf", "[[post-config|$NOVA_CPU_CONF]]\n[DEFAULT]\ncompute_driver = fake.FakeDriver\n", 0o640)
	if _, err := f.setup(); err == nil || !strings.Contains(err.Error(), "local.conf, line 3: it sets compute_driver = fake.FakeDriver") {
		t.Errorf("got %v", err)
	}
}

// The engine comes from the distribution's repository, if that has one.
func TestTheEngineOfRDOsDistributions(t *testing.T) {
	f := fakeOf(t, true, layouttest.RDO)
	f.virt = "/usr/lib/python3.9/site-packages/nova/virt"
	f.stop("docker")
	f.must(os.Remove(f.path("/usr/bin/dockerd")))
	f.fail["dnf install -y -q moby-engine"] = "No match for argument: moby-engine"
	before := f.tree()
	_, err := f.setup()
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "install Docker Engine yourself") {
		t.Errorf("got %v", err)
	}
	if after := f.tree(); after != before {
		t.Errorf("the tree is\n%s", after)
	}
	delete(f.fail, "dnf install -y -q moby-engine")
	_, err = f.setup()
	f.must(err)
	if got, _ := os.ReadFile(f.path(dockerd.File)); !strings.Contains(string(got), `"userns-remap": "default"`) {
		t.Errorf("daemon.json is %s", got)
	}
}

// theirPolicy is as much of a policy as the module builds on, with what the module must not allow.
const theirPolicy = `(mls true)
(handleunknown allow)
(class process (transition siginh rlimitinh noatsecure sigchld))
(class process2 (nnp_transition nosuid_transition))
(class capability (sys_admin net_admin))
(class file (entrypoint ioctl read write getattr lock open append create setattr unlink rename mounton))
(class dir (create ioctl read write getattr lock open add_name remove_name search setattr rmdir mounton))
(class sock_file (create getattr write))
(class unix_stream_socket (connectto))
(classorder (process process2 capability file dir sock_file unix_stream_socket))
(sid kernel)
(sidorder (kernel))
(sidcontext kernel (system_u system_r kernel_t ((s0) (s0))))
(sensitivity s0)
(sensitivityorder (s0))
(category c0)
(categoryorder (c0))
(sensitivitycategory s0 (c0))
(user system_u)
(userlevel system_u (s0))
(userrange system_u ((s0) (s0)))
(role system_r)
(role object_r)
(userrole system_u system_r)
(userrole system_u object_r)
(roletype system_r kernel_t)
(typeattribute file_type)
(typeattributeset file_type (var_run_t var_lib_t bin_t))
(typeattribute domain)
(typeattribute unconfined_domain_type)
(typeattributeset domain (kernel_t init_t))
(allow unconfined_domain_type domain (unix_stream_socket (connectto)))
(type kernel_t)
(type init_t)
(type bin_t)
(type var_run_t)
(type var_lib_t)
(allow init_t var_run_t (dir (create)))
`

// novasPolicy has a domain of nova-compute's, which may reach no other service than the agent.
const novasPolicy = `(type nova_t)
(type other_service_t)
(typeattributeset domain (other_service_t))
(roletype system_r nova_t)
(neverallow nova_t var_run_t (sock_file (write)))
(neverallow nova_t other_service_t (unix_stream_socket (connectto)))
`

// dockersPolicy has a domain of Docker Engine's, as Debian's has.
const dockersPolicy = `(type dockerd_t)
(roletype system_r dockerd_t)
`

// TestSELinuxModule compiles the module: the agent and its files have types of their own, nova-compute may reach the agent and no
// other service by a socket in /run, and Docker Engine's domain the files that servers' containers start with.
func TestSELinuxModule(t *testing.T) {
	compiler, err := exec.LookPath("secilc")
	if err != nil {
		t.Skip("secilc is not there")
	}
	compile := func(policy string) (contexts, compiled, said string, err error) {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, "base.cil"), []byte(policy), 0o600), os.WriteFile(filepath.Join(dir, "ndock.cil"), selinuxPolicy, 0o600))
		command := exec.Command(compiler, "-o", "policy", "-f", "contexts", "base.cil", "ndock.cil")
		command.Dir = dir
		out, err := command.CombinedOutput()
		text, _ := os.ReadFile(filepath.Join(dir, "contexts")) // none where it failed
		binary, _ := os.ReadFile(filepath.Join(dir, "policy"))
		return string(text), string(binary), string(out), err
	}
	for name, policy := range map[string]string{"Fedora's": theirPolicy + novasPolicy, "Debian's": theirPolicy + dockersPolicy, "another": theirPolicy} {
		contexts, compiled, said, err := compile(policy)
		for _, want := range []string{
			"/run/ndock(/.*)?\tsystem_u:object_r:ndock_var_run_t:s0\n", "/run/ndock/(netns|names)/.+\t<<none>>\n",
			"/var/lib/ndock(/.*)?\tsystem_u:object_r:ndock_var_lib_t:s0\n", "/var/lib/ndock/servers/[^/]+/config-drive.*\t<<none>>\n",
		} {
			if err != nil || !strings.Contains(contexts, want) {
				t.Errorf("%s: got %v, %s\nthere is no %s in\n%s", name, err, said, want, contexts)
			}
		}
		if !strings.Contains(compiled, "ndock_t") {
			t.Errorf("%s: the agent has no domain", name)
		}
	}
	for rule, policy := range map[string]string{
		"init_t ndock_t (process (transition))":             novasPolicy,
		"init_t ndock_t (process2 (nnp_transition))":        novasPolicy,
		"nova_t ndock_var_run_t (sock_file (write))":        novasPolicy,
		"nova_t ndock_t (unix_stream_socket (connectto))":   novasPolicy,
		"dockerd_t ndock_var_run_t (dir (add_name))":        dockersPolicy,
		"dockerd_t ndock_var_lib_t (file (read))":           dockersPolicy,
		"ndock_t kernel_t (unix_stream_socket (connectto))": novasPolicy,
	} {
		if _, _, said, err := compile(theirPolicy + policy + "(neverallow " + rule + ")\n"); err == nil || !strings.Contains(said, "neverallow") {
			t.Errorf("the module does not allow %s: %v, %s", rule, err, said)
		}
	}
}
