package steps

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"ndock/openstack/node"
	"ndock/openstack/node/dockerd"
)

// dockersFilter returns the rules of Docker Engine 20.10 beside Neutron's.
func dockersFilter() map[string][]string {
	return map[string][]string{
		"iptables filter": strings.Split(`-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-ISOLATION-STAGE-2
-N DOCKER-USER
-N neutron-filter-top
-A INPUT -i lo -j ACCEPT
-A FORWARD -j neutron-filter-top
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br-0123456789ab -j DOCKER
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-USER -j RETURN`, "\n"),
		"iptables nat": strings.Split(`-P PREROUTING ACCEPT
-N DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN`, "\n"),
		"ip6tables filter": {"-P FORWARD ACCEPT"},
	}
}

func tableOf(command []string) string {
	if command[2] == "-t" {
		return command[3]
	}
	return "filter"
}

// edit does to a table what iptables would.
func (f *fakeMachine) edit(table string, words []string) {
	rest := strings.Join(words[1:], " ")
	f.filter[table] = slices.DeleteFunc(f.filter[table], func(line string) bool {
		switch words[0] {
		case "-P":
			return strings.HasPrefix(line, "-P "+words[1]+" ")
		case "-D":
			return line == "-A "+rest
		case "-F":
			return strings.HasPrefix(line, "-A "+rest+" ")
		}
		return words[0] == "-X" && line == "-N "+rest
	})
	if words[0] == "-P" {
		f.filter[table] = append(f.filter[table], "-P "+rest)
	}
}

func TestWhatDockerLeftIsRemoved(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	want := map[string][]string{
		"iptables filter":  {"-P INPUT ACCEPT", "-P OUTPUT ACCEPT", "-N neutron-filter-top", "-A INPUT -i lo -j ACCEPT", "-A FORWARD -j neutron-filter-top", "-P FORWARD ACCEPT"},
		"iptables nat":     {"-P PREROUTING ACCEPT", "-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE"},
		"ip6tables filter": {"-P FORWARD ACCEPT"},
	}
	if !maps.EqualFunc(f.filter, want, slices.Equal) {
		t.Errorf("it has %q", f.filter)
	}
	forwards, opens := slices.Index(f.commands, "sysctl -q -w net.ipv4.ip_forward=0"), slices.Index(f.commands, "iptables -w -t filter -P FORWARD ACCEPT")
	if forwards < 0 || opens < forwards {
		t.Errorf("ran %q", f.commands)
	}
}

// The policy stays where others have rules in FORWARD, which may rely on it. DOCKER-USER stays where the operator uses it.
func TestTheOperatorsFirewallStays(t *testing.T) {
	for name, rule := range map[string]string{
		"a rule":         "-A FORWARD -i eth1 -j ACCEPT",
		"a comment":      `-A FORWARD -i docker0 -m comment --comment "for docker0" -j ACCEPT`,
		"a rule of his":  "-A DOCKER-USER -s 192.0.2.1/32 -j DROP",
		"another's jump": "-A FORWARD -j LIBVIRT_FWO",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.filter["iptables filter"] = append(f.filter["iptables filter"], rule)
			_, err := f.setup()
			f.must(err)
			got := strings.Join(f.filter["iptables filter"], "\n")
			if !strings.Contains(got, rule) || !strings.Contains(got, "-P FORWARD DROP") || strings.Contains(got, "ISOLATION") {
				t.Errorf("it has\n%s", got)
			}
			if detail := f.status("firewall").Detail; !strings.HasPrefix(detail, "FORWARD drops") {
				t.Errorf("said %s", detail)
			}
		})
	}
}

// The engine keeps networks and rules that are in use, or decided on.
func TestAnEngineWhoseNetworksAreUsed(t *testing.T) {
	for name, test := range map[string]struct {
		cause func(f *fakeMachine)
		says  string
	}{
		"by a container": {func(f *fakeMachine) { f.info.Networked = []string{"nginx"} }, "keeps its bridge and its firewall, which are used by nginx"},
		"by a swarm":     {func(f *fakeMachine) { f.swarm = true }, "keeps its bridge and its firewall, for the swarm"},
		"by decision":    {func(f *fakeMachine) { f.put(dockerd.File, `{"iptables": true}`, 0o600) }, "decided on by hand"},
		"by containers that would stop": {func(f *fakeMachine) {
			f.put(dockerd.File, `{"live-restore": false}`, 0o600)
			f.info.Running = 1
		}, "once live-restore is on, or no container runs"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			test.cause(f)
			_, err := f.setup()
			f.must(err)
			if !maps.EqualFunc(f.filter, dockersFilter(), slices.Equal) {
				t.Errorf("it has %q", f.filter)
			}
			if detail := f.status("daemon.json").Detail; !strings.Contains(detail, test.says) {
				t.Errorf("said %s", detail)
			}
			if got := f.plan(); got != "" {
				t.Errorf("planned\n%s", got)
			}
		})
	}
}

// TestServersRunOn while the engine restarts without its networks, and with them again.
func TestServersRunOn(t *testing.T) {
	f := newFake(t, false)
	f.info.Running = 3
	tree := f.tree()
	_, err := f.setup()
	f.must(err)
	_, err = node.Teardown(t.Context(), f.Steps(), new(lines).report)
	f.must(err)
	if after := f.tree(); after != tree || f.live || !f.info.Bridge {
		t.Errorf("live-restore %t, bridge %t, and the tree is\n%s", f.live, f.info.Bridge, after)
	}
	if f.stoppedServers {
		t.Error("the engine was restarted without live-restore")
	}
}

// TestTheFirewallOfAHostWithoutIPv6: nftables has tables for IPv6 all the same, with a policy of Docker's, but the kernel has
// no switch for forwarding it.
func TestTheFirewallOfAHostWithoutIPv6(t *testing.T) {
	f := newFake(t, false)
	f.filter["ip6tables filter"] = []string{"-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER"}
	const forwarding = "sysctl -q -w net.ipv6.conf.all.forwarding=0"
	f.fail[forwarding] = "sysctl: cannot stat /proc/sys/net/ipv6/conf/all/forwarding: No such file or directory"
	f.deaf["nova-compute"] = true // so that all is undone as well
	said, err := f.setup()
	if err == nil || strings.Contains(err.Error(), "firewall") || strings.Contains(said, "left to do by hand") {
		t.Errorf("got %v, said\n%s", err, said)
	}
	if got := f.filter["ip6tables filter"]; !slices.Equal(got, []string{"-P FORWARD DROP"}) {
		t.Errorf("it has %q", got)
	}
	for _, command := range f.commands {
		if strings.Contains(command, "net.ipv6") {
			t.Errorf("ran %s", command)
		}
	}
}

// TestAPacketFilterThatIsNotThere has nothing of Docker's.
func TestAPacketFilterThatIsNotThere(t *testing.T) {
	for name, says := range map[string]string{
		"ipv6.disable=1":  "can't initialize ip6tables table `filter': Address family not supported by protocol",
		"no such modules": "ip6tables v1.8.7 (legacy): can't initialize ip6tables table `filter': Table does not exist (do you need to insmod?); Perhaps ip6tables or your kernel needs to be upgraded.",
	} {
		f := newFake(t, false)
		f.unreadable = map[string]string{"ip6tables": says}
		if _, err := f.setup(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := f.status("firewall"); got.State != node.Done {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestTheOtherIptables: Docker Engine made its rules with legacy or nft, and now iptables is the other one. Each sees only its
// own rules, and the kernel applies both.
func TestTheOtherIptables(t *testing.T) {
	for name, test := range map[string]struct{ version, tables, other string }{
		"legacy": {"iptables v1.8.9 (nf_tables)\n", "filter\nnat\n", "iptables-legacy"},
		"nft":    {"iptables v1.8.9 (legacy)\n", "", "iptables-nft"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			f.versions = map[string]string{"iptables": test.version}
			f.put("/proc/net/ip_tables_names", test.tables, 0o444)
			for _, table := range []string{"nat", "filter"} {
				f.filter[test.other+" "+table], f.filter["iptables "+table] = f.filter["iptables "+table], []string{"-P FORWARD ACCEPT"}
			}
			_, err := f.setup()
			f.must(err)
			if got := strings.Join(f.filter[test.other+" filter"], "\n"); strings.Contains(got, "DOCKER") || !strings.Contains(got, "-P FORWARD ACCEPT") {
				t.Errorf("it has\n%s", got)
			}
		})
	}
}

// TestHardeningInTheOtherIptables: a policy is not Docker's where Docker never had a rule, and a table that iptables cannot
// list has no rules of Docker's.
func TestHardeningInTheOtherIptables(t *testing.T) {
	f := newFake(t, false)
	f.versions = map[string]string{"iptables": "iptables v1.8.9 (legacy)\n", "ip6tables": "ip6tables v1.8.9 (legacy)\n"}
	f.filter["iptables filter"] = []string{"-P FORWARD ACCEPT"}
	hardened := []string{"-P INPUT DROP", "-P FORWARD DROP", "-P OUTPUT DROP", "-A INPUT -i lo -j ACCEPT"}
	f.filter["iptables-nft filter"] = slices.Clone(hardened)
	f.unreadable = map[string]string{"ip6tables-nft": "ip6tables v1.8.9 (nf_tables): table `filter' is incompatible, use 'nft' tool."}
	_, err := f.setup()
	f.must(err)
	if got := f.filter["iptables-nft filter"]; !slices.Equal(got, hardened) {
		t.Errorf("it has %q", got)
	}
	if slices.Contains(f.commands, "sysctl -q -w net.ipv4.ip_forward=0") {
		t.Errorf("ran %q", f.commands)
	}
	if detail := f.status("firewall").Detail; !strings.HasPrefix(detail, "FORWARD drops what no rule lets through (iptables-nft)") {
		t.Errorf("said %s", detail)
	}
}

// TestThePolicyIsWrittenBack by an agent of Neutron's that read it before, when Docker's chains are gone.
func TestThePolicyIsWrittenBack(t *testing.T) {
	opened := family{command: "iptables-nft", other: true}
	for name, test := range map[string]struct {
		left leftover
		want bool
	}{
		"beside a chain of Docker's":  {leftover{family: opened, chains: []string{"DOCKER"}}, true},
		"after this run has seen one": {leftover{family: opened}, true},
		"where none was":              {leftover{family: family{command: "ip6tables-nft", other: true}}, false},
		"in iptables' own make":       {leftover{family: family{command: "iptables"}}, true},
	} {
		if got := (&firewall{opened: []family{opened}}).isDockers(test.left); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestTablesThatAreNotLoaded are not asked for: that would load them.
func TestTablesThatAreNotLoaded(t *testing.T) {
	f := newFake(t, false)
	f.versions = map[string]string{"iptables": "iptables v1.8.9 (nf_tables)\n"}
	f.put("/proc/net/ip_tables_names", "mangle\n", 0o444)
	f.unreadable = map[string]string{"iptables-legacy": "it is asked"}
	_, err := f.setup()
	f.must(err)
}
